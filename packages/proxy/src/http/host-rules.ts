/** What is made of Host before routes see it: strip_any_host_port, strip_matching_host_port, strip_trailing_host_dot. */

export interface HostOptions {
  readonly port: "keep" | "strip" | "strip-matching";
  readonly stripsDot: boolean;
}

export function applyHostRules(authority: string, { port, stripsDot }: HostOptions, localPort: number): string {
  if (port === "keep" && !stripsDot) return authority;
  const colon = portPlace(authority);
  const host = colon < 0 ? authority : authority.slice(0, colon);
  const rest = colon < 0 ? "" : authority.slice(colon);
  const isStripped = port === "strip" || (port === "strip-matching" && rest === `:${localPort}`);
  const name = stripsDot && host.endsWith(".") ? host.slice(0, -1) : host;
  return isStripped ? name : name + rest;
}

/** Where ":PORT" begins; -1 where there is none. */
function portPlace(authority: string): number {
  const colon = authority.lastIndexOf(":");
  if (colon < 0 || colon < authority.indexOf("]")) return -1;
  return /^[0-9]+$/.test(authority.slice(colon + 1)) ? colon : -1;
}
