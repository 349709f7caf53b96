/** Characters of HTTP/1.1 messages (RFC 9110 section 5.6.2, RFC 9112). */

/** By character code: 0 for what no name may have, 2 for capital letters, 1 for the others. */
export const nameCharacters: Uint8Array = buildNameCharacters();

function buildNameCharacters(): Uint8Array {
  const table = new Uint8Array(256);
  for (const character of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") table[character.charCodeAt(0)] = 1;
  for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZ") table[character.charCodeAt(0)] = 2;
  return table;
}

const unprintable = /[^\t\x20-\x7e\x80-\xff]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that must not be in a value
const forbidden = /[\0-\x08\x0a-\x1f\x7f]/;

/**
 * A value as it may be written: the last gate, so that nothing a filter makes can end a line. Text beyond Latin-1 goes out
 * as UTF-8. Undefined where there are control characters.
 */
export function cleanValue(value: string): string | undefined {
  if (!unprintable.test(value)) return value;
  if (forbidden.test(value)) return undefined;
  return Buffer.from(value, "utf8").toString("latin1");
}

/** The length in a content-length header; undefined where that is no number. Lists of equal numbers are refused, as by Envoy. */
export function parseContentLength(value: string): number | undefined {
  if (value.length === 0 || value.length > 15) return undefined;
  let length = 0;
  for (let index = 0; index < value.length; index++) {
    const digit = value.charCodeAt(index) - 48;
    if (digit < 0 || digit > 9) return undefined;
    length = length * 10 + digit;
  }
  return length;
}

/** True where a comma-separated list has a token, whatever its case. `token` is lower case. */
export function hasToken(list: string, token: string): boolean {
  if (list.length === token.length) return list.toLowerCase() === token;
  return list.split(",").some((member) => member.trim().toLowerCase() === token);
}
