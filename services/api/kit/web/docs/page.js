// The page at /docs: Swagger UI over our own document. An external file, because the page's policy allows no other script.

const TOKEN_PAIRS = ["/auth/login", "/auth/refresh"];

const docs = SwaggerUIBundle({
  dom_id: "#docs",
  url: "/openapi.json",
  validatorUrl: null, // else the document would be sent to another host
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0, // the models stay closed: first come the operations
  responseInterceptor: authorize,
});

// Put the tokens of a login or a refresh into "Authorize". The page forgets them when it is left.
function authorize(response) {
  if (response.status === 200 && TOKEN_PAIRS.includes(new URL(response.url).pathname)) {
    docs.preauthorizeApiKey("access_token", response.body.access_token);
    docs.preauthorizeApiKey("refresh_token", response.body.refresh_token);
  }
  return response;
}

// Swagger UI has dark colours, and leaves it to the page to choose them.
const dark = matchMedia("(prefers-color-scheme: dark)");
const choose = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", choose);
choose();
