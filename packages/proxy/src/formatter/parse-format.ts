import { ConfigError } from "../lib/config-error.ts";
import { downstreamOperators } from "./downstream-operators.ts";
import { headerOperators } from "./header-operators.ts";
import { metadataOperators } from "./metadata-operators.ts";
import type { OperatorTable } from "./operator-table.ts";
import { streamOperators } from "./stream-operators.ts";
import type { FormatOptions, Operator } from "./types.ts";
import { upstreamOperators } from "./upstream-operators.ts";

/** All of the operators, by name. */
const operators: OperatorTable = {
  ...headerOperators,
  ...streamOperators,
  ...upstreamOperators,
  ...downstreamOperators,
  ...metadataOperators,
};

/** Text as it stands, or an operator with the most characters of its value. */
export type FormatPart = string | { readonly read: Operator; readonly maxLength: number | undefined };

const operatorPattern = /%(?:%|([A-Z0-9_]+)(?:\((.*?)\))?(?::(\d+))?%)/sy;

/** The parts of a format, neighbouring texts joined. Throws ConfigError with the operator that cannot be used. */
export function parseFormat(format: string, options: FormatOptions): readonly FormatPart[] {
  const parts: FormatPart[] = [];
  let text = "";
  let at = 0;
  while (at < format.length) {
    const next = format.indexOf("%", at);
    if (next < 0) break;
    text += format.slice(at, next);
    operatorPattern.lastIndex = next;
    const match = operatorPattern.exec(format);
    if (match === null) throw new ConfigError("", `no operator begins at "${format.slice(next, next + 20)}"`);
    at = operatorPattern.lastIndex;
    const [, name, argument, length] = match;
    if (name === undefined) {
      text += "%";
      continue;
    }
    if (text !== "") parts.push(text);
    text = "";
    const maxLength = length === undefined ? undefined : Number(length);
    parts.push({ read: compileOperator(name, argument, options), maxLength });
  }
  text += format.slice(at);
  if (text !== "") parts.push(text);
  return parts;
}

function compileOperator(name: string, argument: string | undefined, options: FormatOptions): Operator {
  const compile = Object.hasOwn(operators, name) ? operators[name] : undefined;
  if (compile === undefined) throw new ConfigError("", `the operator %${name}% is not supported`);
  try {
    return compile(argument, options);
  } catch (cause: unknown) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new ConfigError("", `%${name}${argument === undefined ? "" : `(${argument})`}%: ${cause.reason}`);
  }
}
