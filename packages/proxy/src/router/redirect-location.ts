/** Reads where a redirect leads to, as Envoy does (Http::Utility::Url): nothing is resolved, decoded or encoded. */
import { isIP } from "node:net";

export interface RedirectLocation {
  /** Every other scheme counts as one that is encrypted. */
  readonly isHttp: boolean;
  /** In the case it came in, and with its port. */
  readonly authority: string;
  readonly path: string;
}

const scheme = "([a-z][a-z\\d+.-]*)";
const userinfo = "[\\w!$%&'()*+,.:;=~-]*";
const authority = "(?:\\[([\\d.:a-f]+)\\]|[a-z\\d.-]+)(?::(\\d+))?";
const url = new RegExp(`^${scheme}://(?:${userinfo}@)?(${authority})((?:[/?][!-~]*)?)$`, "i");
const maxPort = 65_535;

/**
 * Undefined for what names no host, and for all that Envoy takes for no URL: spaces, other than ASCII characters, hosts
 * with characters that names of hosts do not have.
 */
export function parseLocation(text: string): RedirectLocation | undefined {
  const [, name = "", host = "", address, port = "0", rest = ""] = url.exec(text) ?? [];
  if (host === "" || Number(port) > maxPort) return undefined;
  if (address !== undefined && isIP(address) === 0) return undefined;
  // A request's path has no fragment, and Envoy refuses requests that do.
  const [path = ""] = rest.split("#", 1);
  return { isHttp: name.toLowerCase() === "http", authority: host, path: path === "" ? "/" : path };
}
