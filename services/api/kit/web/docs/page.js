// The page at /docs: Swagger UI with this API's document. The Content-Security-Policy forbids inline scripts.

const API = new URL(".", location.href); // with the path prefix, if a proxy in front removes one
const TOKEN_PAIRS = ["auth/login", "auth/refresh"].map((path) => new URL(path, API).pathname);

const docs = SwaggerUIBundle({
  dom_id: "#docs",
  url: new URL("openapi.json", API).href,
  validatorUrl: null, // otherwise the document would be sent to another host
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0, // keep the models closed
  requestInterceptor: addPrefix,
  responseInterceptor: authorize,
});

// Without FORWARDED_PREFIX, the document doesn't contain the path prefix.
function addPrefix(request) {
  const url = new URL(request.url, API);
  if (url.origin === API.origin && !url.pathname.startsWith(API.pathname)) {
    url.pathname = API.pathname + url.pathname.slice(1);
    request.url = url.href;
  }
  return request;
}

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
