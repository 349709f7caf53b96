/** Parts of which HTTP/1.1 requests are written that are wrong, or that two parsers may read differently. */
import type { Profile } from "./profiles.ts";

export interface Http1Input {
  readonly name: string;
  readonly profile: Profile;
  /** Each character is a byte. */
  readonly bytes: string;
}

/** A name and bytes. */
export type Http1Row = readonly [name: string, bytes: string];

export const crlf = "\r\n";

/** What an attacker would have read as a further request. */
export const smuggled = `GET /smuggled HTTP/1.1${crlf}Host: a${crlf}${crlf}`;

export function family(title: string, profile: Profile, rows: readonly Http1Row[]): readonly Http1Input[] {
  return rows.map(([name, bytes]) => ({ name: `${title}: ${name}`, profile, bytes }));
}

/** A head with its empty line. */
export function head(line: string, ...headers: readonly string[]): string {
  return [line, "Host: a", ...headers, "", ""].join(crlf);
}

/** A POST and what comes behind its head. */
export function post(headers: readonly string[], body: string): string {
  return head("POST / HTTP/1.1", ...headers) + body;
}

/** A POST in chunks and what comes behind its head. */
export function chunked(body: string): string {
  return post(["Transfer-Encoding: chunked"], body);
}
