/** What is asked of an authorization service, and what it says, whatever protocol it speaks. */
import type { Exchange } from "../../http/exchange.ts";
import type { HeaderList } from "../../http/header-list.ts";

export interface Question {
  readonly exchange: Exchange;
  readonly contextExtensions: Readonly<Record<string, string>>;
  /** The request's body or its beginning; undefined where it is not asked for. */
  readonly body: { readonly bytes: Uint8Array; readonly isPartial: boolean } | undefined;
}

export type HeaderAction = "append" | "set" | "set-if-there" | "add-if-absent";

export interface HeaderEdit {
  readonly action: HeaderAction;
  readonly name: string;
  readonly value: string;
}

export interface Allowed {
  readonly kind: "allowed";
  readonly requestEdits: readonly HeaderEdit[];
  readonly removed: readonly string[];
  readonly responseEdits: readonly HeaderEdit[];
  readonly parametersSet: readonly { readonly key: string; readonly value: string }[];
  readonly parametersRemoved: readonly string[];
  readonly metadata: Record<string, unknown> | undefined;
}

export interface Denied {
  readonly kind: "denied";
  readonly status: number;
  readonly body: string;
  readonly headers: HeaderList;
  readonly metadata: Record<string, unknown> | undefined;
}

/** Rejects with ClusterCallError where there is no verdict. */
export type AskService = (question: Question) => Promise<Allowed | Denied>;

export function editHeaders(headers: HeaderList, edits: readonly HeaderEdit[]): void {
  for (const { action, name, value } of edits) {
    const isThere = headers.has(name);
    if (action === "set" || (action === "set-if-there" && isThere)) headers.set(name, value);
    else if (action === "append") headers.append(name, value);
    else if (action === "add-if-absent" && !isThere) headers.append(name, value);
  }
}
