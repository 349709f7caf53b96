/** A number over 0 from the environment; `fallback` where there is none. Throws for anything else. */
export function readNumber(name: string, fallback: number): number {
  const text = process.env[name] ?? "";
  const number = Number(text);
  if (text !== "" && !(number > 0)) throw new Error(`${name} must be a number over 0, not ${text}`);
  return text === "" ? fallback : number;
}
