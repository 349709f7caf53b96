import { TracelessError } from "@meltemi/http2/traceless-error";

/** Why requests end of which the client wants nothing more. */
export const clientClosed = (): Error => new TracelessError("ClientGone", "the client closed the connection");
export const clientReset = (): Error => new TracelessError("ClientGone", "the client has reset the stream");
