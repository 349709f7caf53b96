/**
 * An error that says what came of a request, and so is made thousands of times a second when much fails: without a stack
 * trace, whose making costs more than the answer.
 */
export class TracelessError implements Error {
  readonly name: string;
  readonly message: string;
  readonly cause: unknown;

  constructor(name: string, message: string, cause?: unknown) {
    this.name = name;
    this.message = message;
    this.cause = cause;
  }
}

// An Error to all that asks for one; only the constructor, which takes the trace, is left out.
Object.setPrototypeOf(TracelessError.prototype, Error.prototype);
