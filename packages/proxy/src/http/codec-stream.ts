/**
 * The border between codecs and the connection manager: a codec reads requests from a connection and writes answers, the
 * manager decides what they are.
 */
import type { LocalReply } from "./exchange.ts";
import type { HeaderList } from "./header-list.ts";
import type { HttpRequest, HttpResponse } from "./message.ts";
import type { ResponseFlag } from "./response-flags.ts";

/** One request and its answer on the wire. */
export interface CodecStream {
  /** True when all of the request has come. */
  readonly isRequestComplete: boolean;
  /** True where the request itself names its scheme: in HTTP/2, and in an absolute target. */
  readonly namesScheme: boolean;
  /** Trailers that were sent with the answer. */
  readonly responseTrailers: HeaderList | undefined;
  /** True where the client wants no further request on this connection. */
  readonly wantsClose: boolean;
  /** Bytes of bodies. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** Sends a 1xx head. */
  inform(status: number, headers: HeaderList): void;
  /** Sends the answer; `isLast` ends the connection after it. The events' `onResponseEnd` follows in every case but a reset. */
  respond(response: HttpResponse, isLast: boolean): void;
  /** Ends the request without a (further) answer: RST_STREAM, or the end of an HTTP/1 connection. No event follows. */
  reset(details: string): void;
}

/** Why a request was refused without an answer, for its log entry. */
export interface Refusal {
  readonly details: string;
  readonly flags: readonly ResponseFlag[];
}

/** What a codec tells of a request after its head. */
export interface StreamEvents {
  /** The codec is ready for an answer, which may be given before this returns. The body follows. */
  onStart(): void;
  /** The last byte of the request came. */
  onRequestEnd(): void;
  /** The rest of the request cannot be read. Nothing of it follows. */
  onMalformed(reply: LocalReply): void;
  /** The client is gone, or has reset the request. Nothing follows. */
  onGone(cause: Error): void;
  /** The codec ends the request for what is wrong with it. Nothing follows. */
  onRefused(refusal: Refusal): void;
  /** The answer is written. Nothing follows. */
  onResponseEnd(): void;
  /** The body of the answer broke off: the codec has reset the stream. Nothing follows. */
  onResponseBroken(cause: Error): void;
}

/** Takes the requests of one connection. */
export interface RequestReceiver {
  /** A head came. Nothing is answered before `onStart` of the events. */
  onRequest(stream: CodecStream, request: HttpRequest): StreamEvents;
  /** A head came that cannot be read, and is answered after `onStart`; an HTTP/1 connection ends after that. */
  onMalformedHead(stream: CodecStream, reply: LocalReply): StreamEvents;
  /** A head came that is refused without an answer: `onRefused` of the events follows. */
  onRefusedHead(stream: CodecStream): StreamEvents;
  /** The codec ends the connection itself. */
  onClosing(): void;
  /** The client did not end a connection in time that was closed on this side. */
  onDelayedClose(): void;
}

/** A codec on a connection. */
export interface CodecConnection {
  /** When the head began that is coming now, on the monotonic clock; undefined where none is. */
  readonly headStartedAt: number | undefined;
  /** Tells the client not to ask again: a first GOAWAY in HTTP/2; in HTTP/1 the next answer says so. */
  startDrain(): void;
  /** Ends the connection as soon as what is under way is done, at once where nothing is. */
  finishDrain(): void;
  /** The head did not come in time. */
  refuseLateHead(reply: LocalReply): void;
}
