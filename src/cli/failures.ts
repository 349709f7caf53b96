/** The command line cannot be meant as it stands; the message says what would be right. */
export class UsageError extends Error {}

/** A command was understood and could not be done; the message says what to do about it. */
export class CommandFailure extends Error {
  /**
   * What the shell sees: 1, or 126 where `iptables --run-validation` finds a pod without redirection, as istiod's, or the
   * code of the proxy that an agent watched.
   */
  readonly exitCode: number;

  constructor(message: string, options?: ErrorOptions & { readonly exitCode?: number }) {
    super(message, options);
    this.exitCode = options?.exitCode ?? 1;
  }
}
