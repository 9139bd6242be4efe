// The page at /docs: Swagger UI with this API's document. The Content-Security-Policy forbids inline scripts.

const TOKEN_PAIRS = ["/auth/login", "/auth/refresh"];

const docs = SwaggerUIBundle({
  dom_id: "#docs",
  url: "/openapi.json",
  validatorUrl: null, // otherwise the document would be sent to another host
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0, // keep the models closed
  responseInterceptor: authorize,
});

// After a login or a refresh, use the new tokens for "Authorize". Leaving the page discards them.
function authorize(response) {
  if (response.status === 200 && TOKEN_PAIRS.includes(new URL(response.url).pathname)) {
    docs.preauthorizeApiKey("access_token", response.body.access_token);
    docs.preauthorizeApiKey("refresh_token", response.body.refresh_token);
  }
  return response;
}

// Swagger UI has dark colors, but the page must select them.
const dark = matchMedia("(prefers-color-scheme: dark)");
const choose = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", choose);
choose();
