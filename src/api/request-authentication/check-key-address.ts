/** Addresses of key sets, read as Go's net/url does, so that what istiod accepts is accepted here. */
import { isIP } from "node:net";

const badEscape = /%(?![0-9a-fA-F]{2})/;
/** Characters of a host name beside what is not ASCII. */
const hostPattern = /^[A-Za-z0-9\-_.~!$&'()*+,;=<>"\]\u0080-\u{10ffff}]*$/u;
const userPattern = /^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/;
/** Escapes of bytes that are not ASCII and of "%", the only ones that a host may have. */
const hostEscape = /%([89a-fA-F][0-9a-fA-F]|25)/g;

/** Says what is wrong with the address of a key set; undefined where nothing is. */
export function findAddressFault(address: string): string | undefined {
  const hash = address.indexOf("#");
  const [base, fragment] = hash < 0 ? [address, ""] : [address.slice(0, hash), address.slice(hash + 1)];
  if (hasControl(base)) return "has a control character";
  if (badEscape.test(fragment)) return "has an escape that is not % and two digits";
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(base)?.[1];
  if (!/^https?$/i.test(scheme ?? "")) return "must start with http:// or https://";
  const [rest = ""] = base.slice((scheme ?? "").length + 1).split("?", 1);
  // Without a slash the rest has no parts that could be wrong.
  if (!rest.startsWith("/")) return undefined;
  const [, authority, path = ""] = rest.startsWith("//") ? (/^\/\/([^/]*)(.*)$/s.exec(rest) ?? []) : [rest, "", rest];
  if (badEscape.test(path)) return "has an escape that is not % and two digits";
  return findAuthorityFault(authority ?? "");
}

function hasControl(text: string): boolean {
  return [...text].some((char) => char < " " || char === "\u007f");
}

function findAuthorityFault(authority: string): string | undefined {
  const at = authority.lastIndexOf("@");
  const [user, hostPort] = at < 0 ? ["", authority] : [authority.slice(0, at), authority.slice(at + 1)];
  if (!userPattern.test(user) || badEscape.test(user)) return "has a user that is not valid";
  const open = hostPort.lastIndexOf("[");
  if (open > 0) return "has a bracket that does not start the host";
  const split = open === 0 ? /^\[(.*)\]([^\]]*)$/s.exec(hostPort) : /^([^:]*)(.*)$/s.exec(hostPort);
  if (split === null) return 'has no "]" after the address';
  const [, host = "", port = ""] = split;
  if (!/^(:[0-9]*)?$/.test(port)) return `has the port "${port.slice(1)}"`;
  if (port.length > 1 && BigInt(port.slice(1)) > 9223372036854775807n) return "has a port that is too large";
  if (open === 0) return isBracketAddress(host) ? undefined : `has "${host}" in brackets, which is not an IPv6 address`;
  return hostPattern.test(host.replace(hostEscape, "")) ? undefined : `has the host "${host}"`;
}

/** IPv6, with a zone after "%25" where there is one. */
function isBracketAddress(text: string): boolean {
  const zone = text.indexOf("%25");
  if (zone < 0) return !text.includes("%") && isIP(text) === 6;
  return isIP(text.slice(0, zone)) === 6 && text.length > zone + 3 && !badEscape.test(text);
}
