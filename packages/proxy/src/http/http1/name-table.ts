/**
 * Names of headers, checked and in lower case. Clients send the same few again and again, so those that were seen are kept,
 * up to a bound that a client cannot exceed.
 */
const maxNames = 1_024;
const maxLength = 64;
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export class NameTable {
  readonly #names = new Map<string, string>();

  /** The lower-case name; undefined where it is none by RFC 9110, section 5.1. */
  find(raw: string): string | undefined {
    const known = this.#names.get(raw);
    if (known !== undefined) return known;
    if (!token.test(raw)) return undefined;
    const name = raw.toLowerCase();
    if (raw.length <= maxLength && this.#names.size < maxNames) this.#names.set(raw, name);
    return name;
  }
}
