/**
 * Formats compiled once into a list of functions. Whatever can be used is decided then; formatting itself never fails.
 */
import { readFileSync } from "node:fs";
import { structToJson, typeNameOf } from "@meltemi/protos";
import type { DataSource, SubstitutionFormatString, TypedExtensionConfig } from "@meltemi/protos/envoy/config/core/v3";
import type { Struct } from "@meltemi/protos/google/protobuf";
import type { LogEntry } from "../access-log/types.ts";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { type FormatPart, parseFormat } from "./parse-format.ts";
import type { FormatOptions, JsonFormatter, TextFormatter } from "./types.ts";

/** Throws ConfigError with the operator that cannot be used. */
export function compileTextFormat(format: string, options: FormatOptions = {}): TextFormatter {
  const parts = parseFormat(format, options);
  const absent = options.omitsEmpty === true ? "" : "-";
  const [only] = parts;
  if (only === undefined) return () => "";
  if (parts.length > 1) return joinParts(parts, absent);
  if (typeof only === "string") return () => only;
  return (entry) => formatPart(only, entry, absent);
}

/** A Struct or its JSON. Members come in the order of their names. Throws ConfigError with the path of the member. */
export function compileJsonFormat(
  format: Struct | Readonly<Record<string, unknown>>,
  options: FormatOptions = {},
): JsonFormatter {
  const object = isStruct(format) ? structToJson(format) : format;
  return compileObject(object, options);
}

/** Text, or one line of JSON with a line break at its end. Throws ConfigError. */
export function compileSubstitution(wire: SubstitutionFormatString, options: FormatOptions = {}): TextFormatter {
  compileAll("formatters", wire.formatters, checkFormatter);
  const own: FormatOptions = { ...options, omitsEmpty: wire.omit_empty_values === true };
  const { text_format: text, text_format_source: source, json_format: json } = wire;
  if (json !== undefined) {
    const format = within("json_format", () => compileJsonFormat(json, own));
    return (entry) => `${JSON.stringify(format(entry))}\n`;
  }
  if (source !== undefined) {
    return within("text_format_source", () => compileTextFormat(readDataSource(source, options), own));
  }
  if (text === undefined) throw new ConfigError("", "one of text_format, text_format_source, json_format is required");
  return within("text_format", () => compileTextFormat(text, own));
}

/** Operators of these extensions are always there; a configuration may name them all the same. */
const knownFormatters: readonly string[] = [
  "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery",
  "envoy.extensions.formatter.metadata.v3.Metadata",
];

function checkFormatter({ name = "", typed_config: config }: TypedExtensionConfig): void {
  const type = config === undefined ? name : typeNameOf(config.type_url ?? "");
  if (!knownFormatters.includes(type)) throw new ConfigError("", `the formatter ${type} is not supported`);
}

/** Text of a DataSource. Throws ConfigError where it cannot be read. */
function readDataSource(source: DataSource, { environment }: FormatOptions): string {
  if (source.inline_string !== undefined) return source.inline_string;
  if (source.inline_bytes !== undefined) return new TextDecoder().decode(source.inline_bytes);
  if (source.filename !== undefined) {
    try {
      return readFileSync(source.filename, "utf8");
    } catch (cause: unknown) {
      throw new ConfigError("filename", `cannot be read: ${String(cause)}`);
    }
  }
  const value = source.environment_variable === undefined ? undefined : environment?.(source.environment_variable);
  if (value === undefined) throw new ConfigError("environment_variable", "is not set");
  return value;
}

function isStruct(format: Struct | Readonly<Record<string, unknown>>): format is Struct {
  return typeof format["fields"] === "object" && Object.keys(format).length === 1 && hasKinds(format["fields"]);
}

/** Values of a Struct are objects with one member that names their kind. */
function hasKinds(fields: object | null): boolean {
  return Object.values(fields ?? {}).every(
    (value) => typeof value === "object" && value !== null && Object.keys(value).every((key) => /_(value)$/.test(key)),
  );
}

function joinParts(parts: readonly FormatPart[], absent: string): TextFormatter {
  return (entry) => {
    let text = "";
    for (const part of parts) text += typeof part === "string" ? part : formatPart(part, entry, absent);
    return text;
  };
}

function formatPart({ read, maxLength }: Exclude<FormatPart, string>, entry: LogEntry, absent: string): string {
  const value = read(entry);
  if (value === undefined || value === null) return absent;
  const text = typeof value === "string" ? value : toText(value);
  return maxLength === undefined ? text : text.slice(0, maxLength);
}

function toText(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Makes the value of one member of JSON; undefined leaves it out. */
type MakeValue = (entry: LogEntry) => unknown;

function compileValue(value: unknown, options: FormatOptions): MakeValue {
  if (typeof value === "string") return compileTextValue(value, options);
  if (Array.isArray(value)) {
    const members = compileAll("", value, (member: unknown) => compileValue(member, options));
    return (entry) => members.map((member) => member(entry) ?? null);
  }
  if (typeof value === "object" && value !== null) {
    return compileObject(value as Readonly<Record<string, unknown>>, options);
  }
  return () => value;
}

function compileObject(object: Readonly<Record<string, unknown>>, options: FormatOptions): JsonFormatter {
  const members = Object.entries(object)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, value]) => [key, within(key, () => compileValue(value, options))] as const);
  return (entry) => {
    const result: Record<string, unknown> = {};
    for (const [key, make] of members) {
      const value = make(entry);
      if (value !== undefined) result[key] = value;
    }
    return result;
  };
}

/** One operator alone keeps the type of its value; anything else is text. */
function compileTextValue(format: string, options: FormatOptions): MakeValue {
  const [only, ...rest] = parseFormat(format, options);
  if (only === undefined || typeof only === "string" || rest.length > 0) return compileTextFormat(format, options);
  const { read, maxLength } = only;
  const absent = options.omitsEmpty === true ? undefined : null;
  return (entry) => {
    const value = read(entry) ?? absent;
    return maxLength === undefined || typeof value !== "string" ? value : value.slice(0, maxLength);
  };
}
