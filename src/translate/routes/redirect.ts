/** Routes that answer by themselves: redirects and fixed responses. Rules: Istio route.go ApplyRedirect. */
import type {
  DirectResponseAction,
  RedirectAction,
  RedirectAction_RedirectResponseCode,
} from "@meltemi/protos/envoy/config/route/v3";
import type { DirectResponse, HttpRedirect } from "../../api/virtual-service/schema.ts";

// 301 is what Envoy does where nothing is said.
const responseCodes: ReadonlyMap<number, RedirectAction_RedirectResponseCode> = new Map([
  [302, "FOUND"],
  [303, "SEE_OTHER"],
  [307, "TEMPORARY_REDIRECT"],
  [308, "PERMANENT_REDIRECT"],
]);

export interface RedirectContext {
  /** Port that requests come in at. */
  readonly port: number;
  readonly isTls: boolean;
}

export function buildRedirect(redirect: HttpRedirect, context: RedirectContext): RedirectAction {
  const port = findPort(redirect, context);
  const code = responseCodes.get(redirect.redirectCode ?? 0);
  return {
    ...(redirect.authority ? { host_redirect: redirect.authority } : {}),
    ...(redirect.prefixRewrite ? { prefix_rewrite: redirect.prefixRewrite } : { path_redirect: redirect.uri ?? "" }),
    ...(redirect.scheme ? { scheme_redirect: redirect.scheme } : {}),
    ...(port === 0 ? {} : { port_redirect: port }),
    ...(code === undefined ? {} : { response_code: code }),
  };
}

export function buildDirectResponse(response: DirectResponse): DirectResponseAction {
  const { string: text, bytes } = response.body ?? {};
  if (text !== undefined) return { status: response.status, body: { inline_string: text } };
  if (bytes !== undefined) return { status: response.status, body: { inline_bytes: Buffer.from(bytes, "base64") } };
  return { status: response.status };
}

/** The port to redirect to, 0 for that of the scheme: Envoy then leaves it out of the Location header. */
function findPort(redirect: HttpRedirect, context: RedirectContext): number {
  const wanted = redirect.port ?? (redirect.derivePort === "FROM_REQUEST_PORT" ? context.port : 0);
  const scheme = redirect.scheme || (context.isTls ? "https" : "http");
  const isDefault = (wanted === 80 && scheme === "http") || (wanted === 443 && scheme === "https");
  return isDefault ? 0 : wanted;
}
