/**
 * Checks the syntax of expressions in the Common Expression Language as cel-go's parser does: grammar, reserved words and
 * the forms that macros ask for. Types and names are not checked, as istiod does not either.
 */
import { ExpressionFault, type Token, tokenize } from "./cel-tokens.ts";

/** Longest expression, in characters, and how deep parts may be nested. */
const maxLength = 100_000;
const maxDepth = 250;

const reserved: ReadonlySet<string> = new Set(
  "as break const continue else for function if import let loop package namespace return var void while".split(" "),
);
const binarySigns: ReadonlySet<string> = new Set("< <= >= > == != in * / % + - || &&".split(" "));
/** Macros that are called on a list or map, with how many arguments they take; the first one is a variable. */
const comprehensions: { readonly [name: string]: readonly number[] } = {
  all: [2],
  exists: [2],
  exists_one: [2],
  existsOne: [2],
  map: [2, 3],
  filter: [2],
};

/** What macros need to know of an expression. */
type Shape = "name" | "field" | "other";

/** Says what is wrong with an expression; undefined where nothing is. Never throws. */
export function findExpressionFault(text: string): string | undefined {
  if (text.length > maxLength) return `it is longer than ${maxLength} characters`;
  try {
    new ExpressionReader(tokenize(text)).readWhole();
    return undefined;
  } catch (cause: unknown) {
    if (cause instanceof ExpressionFault) return `${cause.message} at character ${cause.at + 1}`;
    throw cause;
  }
}

class ExpressionReader {
  readonly #tokens: readonly Token[];
  #index = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  readWhole(): void {
    this.#readExpression();
    if (this.#next.kind !== "end") this.#fail();
  }

  get #next(): Token {
    return this.#peek(0);
  }

  #peek(offset: number): Token {
    const index = Math.min(this.#index + offset, this.#tokens.length - 1);
    return this.#tokens[index] ?? { kind: "end", text: "", at: 0 };
  }

  #fail(): never {
    const { kind, text, at } = this.#next;
    throw new ExpressionFault(kind === "end" ? "unexpected end" : `unexpected "${text}"`, at);
  }

  #isSign(text: string, offset = 0): boolean {
    const token = this.#peek(offset);
    return token.kind === "sign" && token.text === text;
  }

  #skipSign(text: string): boolean {
    if (!this.#isSign(text)) return false;
    this.#index++;
    return true;
  }

  #expectSign(text: string): void {
    if (!this.#skipSign(text)) this.#fail();
  }

  #expectIdentifier(): string {
    const { kind, text } = this.#next;
    if (kind !== "identifier") this.#fail();
    this.#index++;
    return text;
  }

  /** Operators in any order make a valid expression, only their meaning depends on their rank. */
  #readExpression(): Shape {
    this.#depth++;
    if (this.#depth > maxDepth) throw new ExpressionFault(`is nested deeper than ${maxDepth} levels`, this.#next.at);
    let shape = this.#readUnary();
    while (this.#isBinary()) {
      this.#index++;
      this.#readUnary();
      shape = "other";
    }
    if (this.#skipSign("?")) {
      this.#readOperands();
      this.#expectSign(":");
      this.#readExpression();
      shape = "other";
    }
    this.#depth--;
    return shape;
  }

  /** What stands between "?" and ":" has no "?" of its own. */
  #readOperands(): void {
    this.#readUnary();
    while (this.#isBinary()) {
      this.#index++;
      this.#readUnary();
    }
  }

  #isBinary(): boolean {
    const { kind, text } = this.#next;
    return (kind === "sign" || kind === "constant") && binarySigns.has(text);
  }

  #readUnary(): Shape {
    const sign = this.#next;
    if (!this.#isSign("!") && !this.#isSign("-")) return this.#readMember();
    while (this.#isSign(sign.text)) this.#index++;
    // A number may have a sign of its own, also after "!".
    const hasMinus = sign.text === "-" || (this.#isSign("-") && this.#skipSign("-"));
    if (hasMinus && sign.text === "!" && !["integer", "decimal"].includes(this.#next.kind)) this.#fail();
    this.#readMember(hasMinus);
    return "other";
  }

  #readMember(hasMinus = false): Shape {
    let shape = this.#readPrimary(hasMinus);
    for (;;) {
      if (this.#skipSign("[")) {
        this.#readExpression();
        this.#expectSign("]");
        shape = "other";
      } else if (this.#skipSign(".")) {
        const name = this.#expectIdentifier();
        shape = this.#skipSign("(") ? this.#readCall(name) : "field";
      } else return shape;
    }
  }

  /** Arguments of a call on something, after the bracket. */
  #readCall(name: string): Shape {
    const { at } = this.#next;
    const shapes = this.#readArguments();
    const counts = Object.hasOwn(comprehensions, name) ? comprehensions[name] : undefined;
    if (counts?.includes(shapes.length) === true && shapes[0] !== "name") {
      throw new ExpressionFault(`the first argument of ${name}() must be the name of a variable`, at);
    }
    return "other";
  }

  #readArguments(): readonly Shape[] {
    if (this.#skipSign(")")) return [];
    const shapes = [this.#readExpression()];
    while (this.#skipSign(",")) shapes.push(this.#readExpression());
    this.#expectSign(")");
    return shapes;
  }

  #readPrimary(hasMinus: boolean): Shape {
    const { kind, text } = this.#next;
    if (kind === "identifier" || (this.#isSign(".") && this.#peek(1).kind === "identifier")) return this.#readName();
    if (this.#skipSign("(")) {
      const shape = this.#readExpression();
      this.#expectSign(")");
      return shape;
    }
    if (this.#skipSign("[")) return this.#readItems("]");
    if (this.#skipSign("{")) return this.#readItems("}");
    if (kind === "sign" || kind === "end" || (kind === "constant" && text === "in")) this.#fail();
    if (kind === "integer" && !hasMinus && BigInt(text) >= 2n ** 63n) {
      throw new ExpressionFault("number is too large", this.#next.at);
    }
    this.#index++;
    return "other";
  }

  /** Items of a list or entries of a map, after the bracket; a comma may close them. */
  #readItems(end: "]" | "}"): Shape {
    while (!this.#isSign(end) && !this.#isSign(",")) {
      this.#readExpression();
      if (end === "}") {
        this.#expectSign(":");
        this.#readExpression();
      }
      if (!this.#isSign(",") || this.#isSign(end, 1)) break;
      this.#index++;
      if (this.#isSign(",")) this.#fail();
    }
    this.#skipSign(",");
    this.#expectSign(end);
    return "other";
  }

  /** A name, a call of a function, or a message: its type and its fields in braces. */
  #readName(): Shape {
    const { at } = this.#next;
    this.#skipSign(".");
    const name = this.#expectIdentifier();
    if (this.#startsMessage()) return this.#readMessage();
    if (reserved.has(name)) throw new ExpressionFault(`"${name}" is a reserved word`, at);
    if (!this.#skipSign("(")) return "name";
    const shapes = this.#readArguments();
    if (name !== "has" || shapes.length !== 1) return "other";
    if (shapes[0] !== "field") throw new ExpressionFault("the argument of has() must be a field, such as a.b", at);
    return "field";
  }

  #startsMessage(): boolean {
    let offset = 0;
    while (this.#isSign(".", offset) && this.#peek(offset + 1).kind === "identifier") offset += 2;
    return this.#isSign("{", offset);
  }

  #readMessage(): Shape {
    while (this.#skipSign(".")) this.#expectIdentifier();
    this.#expectSign("{");
    while (!this.#isSign("}") && !this.#isSign(",")) {
      this.#expectIdentifier();
      this.#expectSign(":");
      this.#readExpression();
      if (!this.#isSign(",") || this.#isSign("}", 1)) break;
      this.#index++;
      if (this.#isSign(",")) this.#fail();
    }
    this.#skipSign(",");
    this.#expectSign("}");
    return "other";
  }
}
