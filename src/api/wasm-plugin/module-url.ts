/**
 * Reads the address of a module as Go's net/url does, whose errors decide what istiod takes (ParseRequestURI and Parse;
 * strictParseURL of Istio's pkg/config/validation): an address that is none by itself is tried with "http://" in front.
 */

const schemePattern = /^([A-Za-z][A-Za-z0-9+.-]*):/;
const controlCharacter = /[\p{Cc}]/u;
const badEscape = /%(?![0-9A-Fa-f]{2})/;
const userPattern = /^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/;
/** Characters that a host may have beside those outside of ASCII; an escape there must be of one of those. */
const hostPattern = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:[\]<>"]|%25|%[89A-Fa-f][0-9A-Fa-f]|[^\0-\x7f])*$/;

/** Scheme of a module's address in small letters, "" where it has none; undefined where it is no address. */
export function parseModuleScheme(url: string): string | undefined {
  const direct = parse(url, "request");
  const full = direct === undefined ? `http://${url}` : url;
  const scheme = direct ?? parse(full, "request");
  return scheme === undefined || !isReference(full) ? undefined : scheme;
}

/** True for what Go's url.Parse takes: a fragment is cut off before. */
function isReference(url: string): boolean {
  const hash = url.indexOf("#");
  const [rest, fragment] = hash < 0 ? [url, ""] : [url.slice(0, hash), url.slice(hash + 1)];
  return parse(rest, "reference") !== undefined && !badEscape.test(fragment);
}

type Form = "request" | "reference";

/** The scheme, or undefined for an error. A request has a scheme or begins with a slash. */
function parse(url: string, form: Form): string | undefined {
  if (controlCharacter.test(url) || (url === "" && form === "request") || url.startsWith(":")) return undefined;
  if (url === "*") return "";
  const scheme = schemePattern.exec(url)?.[1]?.toLowerCase() ?? "";
  const rest = (scheme === "" ? url : url.slice(scheme.length + 1)).replace(/\?.*$/s, "");
  if (rest.startsWith("/")) return isHierarchical(rest, scheme, form) ? scheme : undefined;
  if (scheme !== "") return scheme;
  return form === "reference" && isRelative(rest) ? "" : undefined;
}

/** A first part with a colon could be taken for a scheme. */
function isRelative(path: string): boolean {
  return !/^[^/]*:/.test(path) && !badEscape.test(path);
}

/** True for an absolute path, and for what follows a scheme: "//", an authority, and a path. */
function isHierarchical(rest: string, scheme: string, form: Form): boolean {
  const mayHaveAuthority = scheme !== "" || (form === "reference" && !rest.startsWith("///"));
  if (!mayHaveAuthority || !rest.startsWith("//")) return !badEscape.test(rest);
  const slash = rest.indexOf("/", 2);
  const [authority, path] = slash < 0 ? [rest.slice(2), ""] : [rest.slice(2, slash), rest.slice(slash)];
  return isAuthority(authority) && !badEscape.test(path);
}

function isAuthority(authority: string): boolean {
  const at = authority.lastIndexOf("@");
  const [user, host] = [authority.slice(0, Math.max(at, 0)), authority.slice(at + 1)];
  if (!userPattern.test(user) || badEscape.test(user) || !hostPattern.test(host)) return false;
  if (host.startsWith("[")) return /\](:[0-9]*)?$/.test(host);
  return /^[^:]*(:[0-9]*)?$/.test(host);
}
