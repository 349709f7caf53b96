/** What edges are handed to log with. The text is static, data goes into `fields`; keys, tokens and bodies never do. */
export interface Log {
  debug(text: string, fields?: Readonly<Record<string, unknown>>): void;
  info(text: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(text: string, fields?: Readonly<Record<string, unknown>>): void;
  error(text: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A logger that adds `fields` to every line; `component` is Envoy's logger name, such as "upstream" or "http". */
  child(fields: Readonly<Record<string, unknown>>): Log;
}

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
