/** The environment as plain data. In the agent this file alone reads the process's environment. */

export type Environment = { readonly [name: string]: string | undefined };

/** The environment of this process, copied once. */
export function readEnvironment(): Environment {
  return { ...process.env };
}
