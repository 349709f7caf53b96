/** The environment as plain data. This file alone reads the process's environment; all others are handed values. */

export type Environment = { readonly [name: string]: string | undefined };

/** The environment of this process, copied once. */
export function readEnvironment(): Environment {
  return { ...process.env };
}
