import type { AdminSource } from "./types.ts";

export interface AdminAnswer {
  /** 200 where not given. */
  readonly status?: number;
  /** "text" where not given. */
  readonly type?: "text" | "json" | "html";
  /** What is long is made in pieces, as it is sent. */
  readonly body: string | AsyncIterable<string>;
}

/** One page of the administration, at a path. */
export interface AdminPage {
  readonly path: string;
  /** Changes something: POST only. */
  readonly isMutating?: boolean;
  readonly description: string;
  /** Names and meanings of its parameters, for /help. */
  readonly parameters?: readonly (readonly [name: string, meaning: string])[];
  answer(source: AdminSource, query: URLSearchParams): AdminAnswer;
}

/** JSON as Envoy prints it: indented by one space. */
export function jsonAnswer(value: unknown): AdminAnswer {
  return { type: "json", body: JSON.stringify(value, null, 1) };
}

export const okAnswer: AdminAnswer = { body: "OK\n" };

/** A query string cannot be used. */
export class BadQueryError extends Error {
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.name = "BadQueryError";
    this.status = status;
  }
}
