/** What becomes of an answer's head before it goes to the client. */

import type { HeaderList } from "./header-list.ts";
import type { DateHeader } from "./http-date.ts";
import type { HttpRequest } from "./message.ts";
import { appendVia } from "./request-rules.ts";
import type { Settings } from "./settings.ts";

/** Adds Date and Server, takes out what belongs to the connection to the upstream. */
export function applyResponseRules(
  headers: HeaderList,
  request: HttpRequest | undefined,
  { settings, date }: { readonly settings: Settings; readonly date: DateHeader },
): void {
  const { server, via, showsRequestId } = settings;
  const seen = dropConnectionHeaders(headers, request?.upgrade !== undefined);
  if (request !== undefined && (showsRequestId || request.headers.has("x-envoy-force-trace"))) {
    const id = request.headers.get("x-request-id");
    if (id !== undefined) headers.set("x-request-id", id);
  }
  if (!seen.hasDate) headers.append("date", date.text);
  if (server.transformation === "OVERWRITE") {
    if (seen.hasServer) headers.set("server", server.name);
    else headers.append("server", server.name);
  } else if (server.transformation === "APPEND_IF_ABSENT" && !seen.hasServer) headers.append("server", server.name);
  if (via !== "") appendVia(headers, via);
}

interface Seen {
  readonly hasDate: boolean;
  readonly hasServer: boolean;
}

/** In one pass over the headers, as every answer goes through here. */
function dropConnectionHeaders(headers: HeaderList, keepsUpgrade: boolean): Seen {
  const { raw } = headers;
  let hasDate = false;
  let hasServer = false;
  for (let index = raw.length - 2; index >= 0; index -= 2) {
    switch (raw[index]) {
      case "date":
        hasDate = true;
        break;
      case "server":
        hasServer = true;
        break;
      case "connection":
      case "keep-alive":
      case "proxy-connection":
      case "transfer-encoding":
        raw.splice(index, 2);
        break;
      case "upgrade":
        if (!keepsUpgrade) raw.splice(index, 2);
        break;
      default:
    }
  }
  return { hasDate, hasServer };
}
