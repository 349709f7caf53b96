/** The logger that edges are handed. Text is static, data goes into `fields`; keys and tokens never do. */
export interface Log {
  debug(text: string, fields?: Readonly<Record<string, unknown>>): void;
  info(text: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(text: string, fields?: Readonly<Record<string, unknown>>): void;
  error(text: string, fields?: Readonly<Record<string, unknown>>): void;
  /** A logger that adds `fields` to every line; `component` names the scope, as in istiod's log scopes. */
  child(fields: Readonly<Record<string, unknown>>): Log;
}

/** Discards everything; for tests and for tools that print on their own. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
