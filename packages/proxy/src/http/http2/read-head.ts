/** The head of an HTTP/2 request as filters see it. */
import type { LocalReply } from "../exchange.ts";
import { HeaderList } from "../header-list.ts";
import type { HeadLimits } from "./options.ts";

export interface Http2Head {
  readonly method: string;
  readonly scheme: "http" | "https";
  readonly authority: string;
  readonly path: string;
  readonly headers: HeaderList;
  readonly upgrade: string | undefined;
}

export type ReadHead =
  | { readonly kind: "head"; readonly head: Http2Head }
  | { readonly kind: "reply"; readonly reply: LocalReply }
  | { readonly kind: "reset" };

const reset: ReadHead = { kind: "reset" };
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const forbidden = /[\0-\x08\x0a-\x1f\x7f]/;
const visible = /^[!-~]+$/;

interface Pseudo {
  method: string | undefined;
  scheme: string | undefined;
  authority: string | undefined;
  path: string | undefined;
  protocol: string | undefined;
}

/** `raw` is name, value, name, value …, as nghttp2 has checked it: pseudo headers are known, and come once each. */
export function readHead(raw: readonly string[], limits: HeadLimits): ReadHead {
  const reader = new HeadReader(limits);
  for (let index = 0; index < raw.length; index += 2) {
    if (!reader.take(raw[index] ?? "", raw[index + 1] ?? "")) return reset;
  }
  return reader.finish();
}

class HeadReader {
  readonly #limits: HeadLimits;
  readonly #pseudo: Pseudo = {
    method: undefined,
    scheme: undefined,
    authority: undefined,
    path: undefined,
    protocol: undefined,
  };
  readonly #list: string[] = [];
  #cookie = "";
  #count = 0;
  #bytes = 0;

  constructor(limits: HeadLimits) {
    this.#limits = limits;
  }

  /** False where the request is to be refused. */
  take(name: string, value: string): boolean {
    this.#bytes += name.length + value.length;
    if (forbidden.test(value) || this.#bytes > this.#limits.maxHeadBytes) return false;
    if (name.startsWith(":")) {
      this.#pseudo[name.slice(1) as keyof Pseudo] = value;
      return true;
    }
    this.#count += 1;
    if (this.#count > this.#limits.maxHeaders) return false;
    switch (name) {
      // Clients may send crumbs (RFC 9113, section 8.2.3); those behind us see one cookie.
      case "cookie":
        this.#cookie = this.#cookie === "" ? value : `${this.#cookie}; ${value}`;
        return true;
      case "host":
        this.#pseudo.authority ??= value;
        return true;
      case "transfer-encoding":
      case "connection":
        return true;
      case "te":
        if (value === "trailers") this.#list.push(name, value);
        return true;
      default:
        return this.#takeOther(name, value);
    }
  }

  #takeOther(name: string, value: string): boolean {
    const { underscores } = this.#limits;
    if (underscores !== "ALLOW" && name.includes("_")) return underscores === "DROP_HEADER";
    this.#list.push(name, value);
    return true;
  }

  finish(): ReadHead {
    if (this.#cookie !== "") this.#list.push("cookie", this.#cookie);
    return finish(this.#pseudo, new HeaderList(this.#list));
  }
}

function finish({ method = "", scheme, authority = "", path = "", protocol }: Pseudo, headers: HeaderList): ReadHead {
  const rest = { authority, headers, scheme: scheme === "https" ? "https" : "http" } as const;
  if (method === "CONNECT") {
    // Extended CONNECT (RFC 8441) is the upgrade of HTTP/1 in HTTP/2: filters see it as such.
    if (protocol === undefined) return { kind: "head", head: { ...rest, method, path: "", upgrade: "connect" } };
    if (!visible.test(path)) return reset;
    return { kind: "head", head: { ...rest, method: "GET", path, upgrade: protocol.toLowerCase() } };
  }
  if (!visible.test(path)) return reset;
  return { kind: "head", head: { ...rest, method, path, upgrade: undefined } };
}
