/** Words of the Common Expression Language (github.com/google/cel-spec, doc/langdef.md, Syntax). */

export type TokenKind = "identifier" | "integer" | "unsigned" | "decimal" | "string" | "constant" | "sign" | "end";

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  /** Where it starts, in characters. */
  readonly at: number;
}

/** What is wrong with an expression, with the place in characters. */
export class ExpressionFault extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

const skipped = /(?:[\t \r\n\f]+|\/\/[^\n]*)+/y;
const escaped = String.raw`\\(?:[abfnrtv"'\\?\x60]|[0-3][0-7]{2}|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})`;
const strings = [
  `"(?:${escaped}|[^\\\\"\\n\\r])*"`,
  `'(?:${escaped}|[^\\\\'\\n\\r])*'`,
  `"""(?:${escaped}|[^\\\\])*?"""`,
  `'''(?:${escaped}|[^\\\\])*?'''`,
  `[rR]"[^"\\n\\r]*"`,
  `[rR]'[^'\\n\\r]*'`,
  `[rR]"""[\\s\\S]*?"""`,
  `[rR]'''[\\s\\S]*?'''`,
];
const rules: readonly (readonly [TokenKind, RegExp])[] = [
  ...strings.map((pattern) => ["string", new RegExp(`[bB]?${pattern}`, "yu")] as const),
  ["decimal", /(?:[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)/y],
  ["unsigned", /(?:0x[0-9a-fA-F]+|[0-9]+)[uU]/y],
  ["integer", /0x[0-9a-fA-F]+|[0-9]+/y],
  ["constant", /(?:true|false|null|in)(?![A-Za-z0-9_])/y],
  ["identifier", /[A-Za-z_][A-Za-z0-9_]*/y],
  ["sign", /==|!=|<=|>=|&&|\|\||[[\]{}().,\-!?:+*/%<>]/y],
];

/** Splits an expression; the last token is "end". Throws ExpressionFault. */
export function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = [];
  for (let at = skip(text, 0); at < text.length; at = skip(text, at + (tokens.at(-1)?.text.length ?? 0))) {
    tokens.push(readToken(text, at));
  }
  return [...tokens, { kind: "end", text: "", at: text.length }];
}

function skip(text: string, at: number): number {
  skipped.lastIndex = at;
  return skipped.test(text) ? skipped.lastIndex : at;
}

/** The longest word counts; of equally long ones the first rule. */
function readToken(text: string, at: number): Token {
  let longest: Token | undefined;
  for (const [kind, pattern] of rules) {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined && found.length > (longest?.text.length ?? 0)) longest = { kind, text: found, at };
  }
  if (longest === undefined) throw new ExpressionFault(`unexpected ${JSON.stringify(text.slice(at, at + 1))}`, at);
  checkLiteral(longest);
  return longest;
}

function checkLiteral({ kind, text, at }: Token): void {
  if (kind === "decimal" && !Number.isFinite(Number(text))) throw new ExpressionFault("number is too large", at);
  if (kind === "unsigned" && BigInt(text.slice(0, -1)) >= 2n ** 64n) {
    throw new ExpressionFault("number is too large", at);
  }
  // One more than the largest: a sign in front may make it fit, see readLiteral.
  if (kind === "integer" && BigInt(text) > 2n ** 63n) throw new ExpressionFault("number is too large", at);
  if (kind === "string") checkEscapes(text, at);
}

/** Raw text has no escapes; bytes have no characters by number; some numbers are no characters. */
function checkEscapes(text: string, at: number): void {
  const prefix = /^[a-zA-Z]*/.exec(text)?.[0] ?? "";
  if (/r/i.test(prefix)) return;
  for (const [, four, eight] of text.matchAll(/\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|.)/gs)) {
    const code = four ?? eight;
    if (code === undefined) continue;
    const point = Number.parseInt(code, 16);
    if (/b/i.test(prefix)) throw new ExpressionFault("bytes cannot have characters by number", at);
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
      throw new ExpressionFault(`\\${four === undefined ? "U" : "u"}${code} is not a character`, at);
    }
  }
}
