/**
 * Tells the patterns that V8 and RE2 read alike and that V8 matches without much backtracking, and rewrites the little
 * in which they differ. What it does not know it leaves to re2js.
 */

export interface PlainRegex {
  readonly source: string;
  readonly flags: "" | "i";
  /** Repetitions without a small bound: each multiplies V8's work by the length of the text at worst. */
  readonly repetitions: number;
}

/** Repetitions up to this count as so many optional parts, not as unbounded ones. */
const smallBound = 8;
const maxOptional = 8;
/** Escapes that mean the same to both, outside of classes and inside of them. */
const sameEscapes = /^[dDwWntrfv.*+?()|[\]{}^$\\/"'#%&,\-:;<=>@_`~! ]$/;

/** A pattern that RE2 takes, for V8; undefined where it may behave otherwise there. */
export function parsePlainRegex(pattern: string): PlainRegex | undefined {
  const hasFlag = pattern.startsWith("(?i)");
  // Case folding beyond ASCII differs.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
  if (!/^[\u0000-\u007f]*$/.test(pattern)) return undefined;
  return new Scanner(hasFlag ? pattern.slice(4) : pattern, hasFlag ? "i" : "").scan();
}

interface OpenGroup {
  /** It holds a repetition or an alternative: repeating it may take exponential time. */
  isComplex: boolean;
}

class Scanner {
  readonly #pattern: string;
  readonly #flags: "" | "i";
  readonly #groups: OpenGroup[] = [];
  #index = 0;
  #source = "";
  #repetitions = 0;
  #optional = 0;
  /** Of what was read last, which a quantifier would be about. */
  #lastIsComplex = false;

  constructor(pattern: string, flags: "" | "i") {
    this.#pattern = pattern;
    this.#flags = flags;
  }

  scan(): PlainRegex | undefined {
    while (this.#index < this.#pattern.length) if (!this.#step()) return undefined;
    if (this.#optional > maxOptional) return undefined;
    return { source: this.#source, flags: this.#flags, repetitions: this.#repetitions };
  }

  #step(): boolean {
    const letter = this.#pattern[this.#index] ?? "";
    if (letter === "\\") return this.#escape();
    if (letter === "[") return this.#class();
    if (letter === "(") return this.#open();
    if (letter === ")") return this.#close();
    if ("*+?{".includes(letter)) return this.#quantify();
    this.#lastIsComplex = false;
    if (letter === "|") this.#markGroups();
    // V8's dot leaves out more line ends than RE2's.
    this.#source += letter === "." ? "[^\\n]" : letter;
    this.#index += 1;
    return true;
  }

  #escape(): boolean {
    const letter = this.#pattern[this.#index + 1] ?? "";
    this.#lastIsComplex = false;
    this.#index += 2;
    if (letter === "s") this.#source += "[\\t\\n\\f\\r ]";
    else if (letter === "S") this.#source += "[^\\t\\n\\f\\r ]";
    else if (sameEscapes.test(letter) || letter === "b" || letter === "B") this.#source += `\\${letter}`;
    else return false;
    return true;
  }

  #class(): boolean {
    const match = /^\[\^?((?:\\[\s\S]|[^\\[\]])+)\]/.exec(this.#pattern.slice(this.#index));
    const inside = match?.[1];
    if (match === null || inside === undefined) return false;
    for (const [, letter = ""] of inside.matchAll(/\\([\s\S])/g)) if (!sameEscapes.test(letter)) return false;
    this.#source += match[0];
    this.#index += match[0].length;
    this.#lastIsComplex = false;
    return true;
  }

  #open(): boolean {
    const rest = this.#pattern.slice(this.#index, this.#index + 3);
    const opening = rest === "(?:" ? rest : "(";
    if (opening === "(" && rest[1] === "?") return false;
    this.#groups.push({ isComplex: false });
    this.#source += opening;
    this.#index += opening.length;
    return true;
  }

  #close(): boolean {
    const group = this.#groups.pop();
    if (group === undefined) return false;
    this.#lastIsComplex = group.isComplex;
    this.#source += ")";
    this.#index += 1;
    return true;
  }

  #quantify(): boolean {
    const match = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/.exec(this.#pattern.slice(this.#index));
    if (match === null) return false;
    const most = mostTimes(match);
    if (this.#lastIsComplex && most > 1) return false;
    this.#source += match[0];
    this.#index += match[0].length;
    // A fixed count leaves no choice, hence nothing to go back to.
    if (match[1] !== undefined && match[2] === "") return true;
    if (most > smallBound) this.#repetitions += 1;
    else this.#optional += most;
    this.#markGroups();
    this.#lastIsComplex = true;
    return true;
  }

  #markGroups(): void {
    for (const group of this.#groups) group.isComplex = true;
  }
}

function mostTimes(quantifier: RegExpExecArray): number {
  if (quantifier[0].startsWith("?")) return 1;
  const [, least, comma, most] = quantifier;
  if (least === undefined || (comma === "," && most === "")) return Number.POSITIVE_INFINITY;
  return Number(comma === "," ? most : least);
}
