import { RE2JS, RE2JSException } from "re2js";
import { BadQueryError } from "./admin-page.ts";

/** A search for a regular expression (RE2) anywhere in a text; undefined finds everything. Throws BadQueryError. */
export function compileSearch(regex: string | null): (text: string) => boolean {
  if (regex === null || regex === "") return () => true;
  try {
    const compiled = RE2JS.compile(regex);
    return (text) => compiled.matcher(text).find();
  } catch (cause: unknown) {
    if (!(cause instanceof RE2JSException)) throw cause;
    throw new BadQueryError(`Invalid re2 regex: ${cause.message}`);
  }
}
