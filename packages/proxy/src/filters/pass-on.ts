import type { HttpFilter } from "../http/exchange.ts";

/** A filter that has nothing to do for requests as it is configured. */
export const passOn: HttpFilter = { handle: (exchange, next) => next(exchange) };
