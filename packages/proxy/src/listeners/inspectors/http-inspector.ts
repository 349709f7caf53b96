import type { Stats } from "../../lib/stats.ts";
import type { AcceptedSocket } from "../accepted-socket.ts";
import { done, type ListenerFilter, more, type Verdict } from "./listener-filter.ts";

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const maxRequestLine = 65_536;
/**
 * As long as the first line has no end only capitals may be a method, so that other protocols that begin with text are told
 * apart at once. Envoy waits for the line, or for its timeout.
 */
const beginningOfMethod = /^[A-Z][A-Z-]*(?: |$)/;
const requestLine = /^[A-Za-z0-9!#$%&'+.^_`|~-]+ +\S+(?: +(HTTP\/\d\.\d))? *\r?$/;

/** Finds HTTP/1.0, HTTP/1.1 and HTTP/2 without TLS in the first bytes of a client. */
export function compileHttpInspector(stats: Stats): ListenerFilter {
  const scope = stats.scope("http_inspector");
  const counters = {
    "http/1.0": scope.counter("http10_found"),
    "http/1.1": scope.counter("http11_found"),
    h2c: scope.counter("http2_found"),
  };
  const notFound = scope.counter("http_not_found");
  const readError = scope.counter("read_error");
  return {
    name: "envoy.filters.listener.http_inspector",
    accept: ({ transportProtocol }) =>
      transportProtocol === "" || transportProtocol === "raw_buffer" ? undefined : done,
    inspect(bytes: Buffer, accepted: AcceptedSocket): Verdict {
      const found = inspectHttp(bytes);
      if (found === "more") {
        if (bytes.length < maxRequestLine) return more;
        readError.inc();
        return { kind: "close", reason: "http_inspector_request_line_too_long" };
      }
      if (found === undefined) {
        notFound.inc();
        return done;
      }
      counters[found].inc();
      accepted.applicationProtocols = [found];
      return done;
    },
  };
}

/** The protocol of a client that begins with `bytes`; undefined where it is no HTTP, "more" where that is not known yet. */
export function inspectHttp(bytes: Buffer): "http/1.0" | "http/1.1" | "h2c" | "more" | undefined {
  const beginning = bytes.toString("latin1", 0, preface.length);
  if (preface.startsWith(beginning)) return beginning.length < preface.length ? "more" : "h2c";
  const end = bytes.indexOf(10);
  if (end < 0) {
    return beginningOfMethod.test(beginning) ? "more" : undefined;
  }
  const match = requestLine.exec(bytes.toString("latin1", 0, end));
  if (match === null) return undefined;
  return match[1] === "HTTP/1.1" ? "http/1.1" : "http/1.0";
}
