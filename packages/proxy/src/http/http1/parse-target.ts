/** The target of a request line: origin form, absolute form, authority form and "*" (RFC 9112, section 3.2). */

export interface Target {
  /** Of the absolute form; undefined for the others. */
  readonly scheme: "http" | "https" | undefined;
  /** Of the absolute and authority forms: wins over Host. */
  readonly authority: string | undefined;
  /** "" for CONNECT. */
  readonly path: string;
}

const visible = /^[!-~]+$/;
const authorityText = /^[A-Za-z0-9\-._~!$&'()*+,;=:[\]%@]*$/;
const absolute = /^(https?):\/\/([^/?#]+)(.*)$/i;
const hostAndPort = /^(?:\[[0-9A-Fa-f:.]+\]|[^:[\]]+)(?::([0-9]{1,5}))?$/;

/** True for what may stand in Host or ":authority": the characters of a host with port, also an empty one. */
export function isAuthority(text: string): boolean {
  return authorityText.test(text);
}

/** Undefined for a target that is none; "codec-error" where it has characters that a request line must not have. */
export function parseTarget(
  method: string,
  text: string,
  allowsAbsoluteUrl: boolean,
): Target | undefined | "codec-error" {
  if (!visible.test(text)) return "codec-error";
  if (method === "CONNECT") return parseAuthorityForm(text);
  if (text.startsWith("/")) return { scheme: undefined, authority: undefined, path: text };
  if (text === "*") return method === "OPTIONS" ? { scheme: undefined, authority: undefined, path: "*" } : undefined;
  const url = absolute.exec(text);
  if (url === null) return "codec-error";
  // Without allow_absolute_url the path is no path, which is refused where paths are judged.
  if (!allowsAbsoluteUrl) return { scheme: undefined, authority: undefined, path: text };
  const [, scheme = "", authority = "", rest = ""] = url;
  if (!isHostAndPort(authority) || rest.startsWith("#")) return undefined;
  return {
    scheme: scheme.toLowerCase() === "https" ? "https" : "http",
    authority,
    // A query alone is no path, which is refused where paths are judged.
    path: rest === "" ? "/" : rest,
  };
}

function parseAuthorityForm(text: string): Target | undefined {
  if (!isHostAndPort(text) || !/:[0-9]+$/.test(text)) return undefined;
  return { scheme: undefined, authority: text, path: "" };
}

/** The authority of a target: unlike that of Host it is taken apart, and has no user information. */
function isHostAndPort(text: string): boolean {
  if (!isAuthority(text) || text.includes("@")) return false;
  const found = hostAndPort.exec(text);
  return found !== null && Number(found[1] ?? 0) <= 65_535;
}
