/** What the kubelet writes about a pod (downward API): labels and annotations, one a line, as name="value". */

const escapes: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

const escapePattern = /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3})|(.))/g;

/** Parses such a file. A line that is none is left out; the kubelet quotes values as Go does (strconv.Quote). */
export function parsePodInfo(text: string): Readonly<Record<string, string>> {
  const entries = text.split("\n").flatMap((line) => {
    const [, name, quoted] = /^([^=]+)="(.*)"$/.exec(line) ?? [];
    return name === undefined || quoted === undefined ? [] : [[name, unquote(quoted)] as const];
  });
  return Object.fromEntries(entries);
}

function unquote(text: string): string {
  return text.replaceAll(escapePattern, (_whole, byte, short, long, octal, letter: string | undefined) => {
    const code: string | undefined = byte ?? short ?? long;
    if (code !== undefined) return String.fromCodePoint(Number.parseInt(code, 16));
    if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
    return letter === undefined ? "" : (escapes[letter] ?? letter);
  });
}
