// What test_typescript_client.py compiles and runs with the generated client: node session.js URL USERNAME PASSWORD

import { ApiError, createClient, pages, querySerializer, unwrap, type Schemas } from "api-client";

declare const process: { argv: string[] };
const [baseUrl = "", username = "", password = ""] = process.argv.slice(2);
let token: string | undefined;
const api = createClient(baseUrl, () => token);

const registered: Schemas["Account"] = await unwrap(api.POST("/auth/register", { body: { username, password } }));
for (let login = 0; login < 2; login += 1) {
  token = (await unwrap(api.POST("/auth/login", { body: { username, password } }))).access_token;
}
const account = await unwrap(api.GET("/account"));

const tokens: string[] = [];
let requests = 0;
const page = (cursor: string | undefined) => {
  requests += 1;
  return api.GET("/auth/token", { params: { query: { limit: 3, cursor } } });
};
for await (const { id } of pages(page)) tokens.push(id);

const { data, error } = await api.POST("/auth/login", { body: { username, password: `not ${password}` } });
let thrown: Schemas["Problem"] | undefined;
try {
  await unwrap(api.GET("/users"));
} catch (refused) {
  if (!(refused instanceof ApiError)) throw refused;
  thrown = refused.problem;
}

// The compiler refuses an unknown path and a misspelled field.
// @ts-expect-error
const unknownPath = () => api.GET("/nowhere");
// @ts-expect-error
const unknownField = () => api.POST("/auth/login", { body: { user: username, password } });

console.log(
  JSON.stringify({
    registered: registered.username,
    account: account.username,
    tokens: new Set(tokens).size,
    requests,
    data: data ?? null,
    wrongPassword: error?.code,
    forbidden: [thrown?.status, thrown?.code],
    query: querySerializer({ limit: 3, cursor: undefined, genre__in: ["novel", 'a, "b"'], total: true }),
    unused: [unknownPath, unknownField].length,
  }),
);
