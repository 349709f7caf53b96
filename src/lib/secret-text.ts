import { inspect } from "node:util";

/** What a log, a dump or an error page shows in place of a secret. */
const redacted = "[redacted]";

/** Text that must not be seen, such as a private key: printing it in any way gives "[redacted]". */
export class SecretText {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself, for the one place that uses it. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [inspect.custom](): string {
    return redacted;
  }
}
