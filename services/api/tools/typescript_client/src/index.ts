/** A typed client of the API. schema.ts comes from its OpenAPI document; `make client` writes both files. */

import createFetchClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type Api = Client<paths>;
/** The bodies of requests and responses, such as `Schemas["Account"]`. */
export type Schemas = components["schemas"];
export type Problem = Schemas["Problem"];

/** Return a client. `accessToken` is called before each request; without a token, a request is anonymous. */
export function createClient(baseUrl: string, accessToken: () => string | undefined = () => undefined): Api {
  const client = createFetchClient<paths>({ baseUrl, querySerializer });
  client.use({
    onRequest({ request }) {
      const token = accessToken();
      if (token !== undefined) request.headers.set("Authorization", `Bearer ${token}`);
      return request;
    },
  });
  return client;
}

/** Write a query. A list is one parameter, with commas between its values: `genre__in=novel,poem`. */
export function querySerializer(query: Record<string, unknown>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue;
    parameters.set(name, Array.isArray(value) ? value.map(quoted).join(",") : String(value));
  }
  return parameters.toString();
}

function quoted(value: unknown): string {
  const text = String(value);
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A response with an error: `problem.code` says which, and `problem.errors` names the invalid fields. */
export class ApiError extends Error {
  constructor(
    readonly problem: Problem,
    readonly response: Response,
  ) {
    super(problem.detail);
    this.name = "ApiError";
  }
}

type Result<T> = { data?: T; error?: unknown; response: Response };

/** Return the body of a response, or throw an ApiError. */
export async function unwrap<T>(request: Promise<Result<T>>): Promise<T> {
  const { data, error, response } = await request;
  if (!response.ok) throw new ApiError(asProblem(error, response), response);
  return data as T;
}

/** Yield the items of a list from page to page. `page` requests the page at a cursor. */
export async function* pages<T>(
  page: (cursor: string | undefined) => Promise<Result<{ items: T[]; next_cursor: string | null }>>,
): AsyncGenerator<T, void, undefined> {
  let cursor: string | undefined;
  do {
    const { items, next_cursor } = await unwrap(page(cursor));
    yield* items;
    cursor = next_cursor ?? undefined;
  } while (cursor !== undefined);
}

/** A proxy may answer without a problem, so make one of the status. */
function asProblem(error: unknown, response: Response): Problem {
  if (typeof error === "object" && error !== null && "code" in error) return error as Problem;
  const title = response.statusText || `HTTP status ${response.status}`;
  return { type: "about:blank", title, status: response.status, detail: title, code: "unknown", request_id: "" };
}
