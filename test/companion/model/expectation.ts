/** What a client may get for a request, and what upstreams may have seen of it. */
export type Expectation = Refused | CutAnswer | LocalAnswer | ForwardedAnswer;

/** Nothing listens there. */
export interface Refused {
  readonly kind: "refused";
}

/** An answer that began, and whose time was over before it was whole. */
export interface CutAnswer {
  readonly kind: "cut";
  readonly leastMs: number;
}

interface Answer {
  /** Of the listener's generation. */
  readonly serverName: string;
  readonly status: number;
  /** It cannot have come sooner. */
  readonly leastMs: number;
  /** Headers of the answer among those that routes change; not looked at where not given. */
  readonly headers: Readonly<Record<string, string>> | undefined;
  /** How often upstreams may have been asked. */
  readonly attempts: { readonly least: number; readonly most: number };
  /** Upstreams that may have been asked without success before. */
  readonly tried: ReadonlySet<string>;
  readonly shadows: { readonly least: number; readonly most: number };
}

/** The proxy's own answer. */
export interface LocalAnswer extends Answer {
  readonly kind: "local";
  /** The whole body, or how it begins. */
  readonly body: { readonly kind: "whole" | "begins"; readonly text: string };
  readonly location: string | undefined;
}

/** An upstream's. */
export interface ForwardedAnswer extends Answer {
  readonly kind: "forwarded";
  readonly hosts: ReadonlySet<string>;
  /** What the upstream must have been asked. */
  readonly path: string;
  readonly host: string;
  readonly requestHeaders: Readonly<Record<string, string>>;
  /** Tries may have come in another order than they were sent: one of them was given up, and came late. */
  readonly isUnordered: boolean;
  readonly choice: Choice;
}

/** How the upstream was chosen, for what shows over many requests only. */
export interface Choice {
  /** Requests with the same words go to the same host. */
  readonly sticky: { readonly cluster: object; readonly word: string } | undefined;
  /** Share of the first of two parts, 0 to 1, and the hosts that only it has. */
  readonly share: { readonly value: number; readonly hosts: ReadonlySet<string> } | undefined;
}
