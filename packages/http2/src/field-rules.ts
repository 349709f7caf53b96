/** What names and values of headers may be (RFC 9113, section 8.2.1; RFC 9110, section 5.5). */

const name = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** Control characters but HTAB, and what is no byte. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const forbidden = /[\0-\x08\x0a-\x1f\x7f\u0100-\uffff]/;

/** A token without capitals; not of a pseudo header. */
export function isFieldName(text: string): boolean {
  return name.test(text);
}

/** White space around it is let pass, as Envoy does. */
export function isFieldValue(text: string): boolean {
  return !forbidden.test(text);
}

/**
 * A value as it goes out, a character for each byte: text of a configuration beyond Latin-1 is UTF-8 on the wire. Throws for
 * what no value may have.
 */
export function encodeFieldValue(text: string): string {
  if (isFieldValue(text)) return text;
  const bytes = Buffer.from(text, "utf8").toString("latin1");
  if (!isFieldValue(bytes)) throw new Error("a header that HTTP/2 cannot carry");
  return bytes;
}

/** Adds a field to name, value, name, value … as it goes out. Throws where HTTP/2 cannot carry it. */
export function addField(list: string[], name: string, value: string): void {
  if (!isFieldName(name)) throw new Error("a header that HTTP/2 cannot carry");
  list.push(name, encodeFieldValue(value));
}

/** True for headers that say how a message is framed or what becomes of its connection: each codec writes its own (RFC 9113, section 8.2.2). */
export function isConnectionHeader(name: string): boolean {
  switch (name.length) {
    case 7:
      return name === "upgrade";
    case 10:
      return name === "connection" || name === "keep-alive";
    case 16:
      return name === "proxy-connection";
    case 17:
      return name === "transfer-encoding";
    default:
      return false;
  }
}
