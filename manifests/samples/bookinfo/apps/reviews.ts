/** reviews: v1 shows texts only, v2 adds black stars and v3 red ones, which both fetch from ratings. */
import type { IncomingHttpHeaders } from "node:http";
import { callService, json, type Reply, readOptions, serve } from "./web-service.ts";

const options = readOptions("reviews");
const color = new Map([
  ["v2", "black"],
  ["v3", "red"],
]).get(options.version);

const texts: readonly { readonly reviewer: string; readonly text: string }[] = [
  { reviewer: "Reviewer1", text: "An extremely entertaining play by Shakespeare." },
  { reviewer: "Reviewer2", text: "Absolutely fun and entertaining, though it lacks thematic depth." },
];

serve(options, async (path, headers) => {
  if (path.startsWith("/newcatalog")) return json(200, { servedBy: servedBy(), catalog: ["The Comedy of Errors"] });
  const id = /^\/reviews\/(\d+)$/.exec(path)?.[1];
  return id === undefined ? undefined : await listReviews(id, headers);
});

const servedBy = (): string => `reviews-${options.version}`;

async function listReviews(id: string, headers: IncomingHttpHeaders): Promise<Reply> {
  const stars = color === undefined ? undefined : await fetchStars(id, headers);
  const reviews = texts.map((review) => ({ ...review, ...(color && { rating: rate(review.reviewer, stars) }) }));
  return json(200, { id: Number(id), servedBy: servedBy(), reviews });
}

type Stars = { readonly [reviewer: string]: number };

function rate(reviewer: string, stars: Stars | undefined): object {
  const count = stars?.[reviewer];
  return count === undefined ? { error: "Ratings service is currently unavailable" } : { stars: count, color };
}

/** Undefined where ratings does not answer well: reviews are worth showing without stars. */
async function fetchStars(id: string, headers: IncomingHttpHeaders): Promise<Stars | undefined> {
  try {
    const { status, body } = await callService(options, `http://ratings:9080/ratings/${id}`, headers);
    return status === 200 ? (JSON.parse(body) as { ratings: Stars }).ratings : undefined;
  } catch {
    return undefined;
  }
}
