/** productpage: the page that people see; asks details and reviews for its content. */
import type { IncomingHttpHeaders } from "node:http";
import { type CallResult, callService, json, type Reply, readOptions, serve } from "./web-service.ts";

const options = readOptions("productpage");
const book = { id: 0, title: "The Comedy of Errors" };

serve(options, async (path, headers) => {
  if (path === "/" || path === "/productpage") return await showPage(headers);
  if (path === "/api/v1/products") return json(200, [book]);
  const [, id, part] = /^\/api\/v1\/products\/(\d+)(?:\/(reviews|ratings))?$/.exec(path) ?? [];
  return id === undefined ? undefined : passOn(await call(`${part ?? "details"}`, id, headers));
});

function call(service: string, id: string, headers: IncomingHttpHeaders): Promise<CallResult> {
  return callService(options, `http://${service}:9080/${service}/${id}`, headers);
}

const passOn = ({ status, body }: CallResult): Reply => ({ status, type: "application/json", body });

interface Details {
  readonly [fact: string]: string | number;
}
interface Reviews {
  readonly servedBy: string;
  readonly reviews: readonly {
    readonly reviewer: string;
    readonly text: string;
    readonly rating?: { readonly stars?: number; readonly color?: string; readonly error?: string };
  }[];
}

async function showPage(headers: IncomingHttpHeaders): Promise<Reply> {
  const [details, reviews] = await Promise.all([
    fetchPart<Details>("details", headers),
    fetchPart<Reviews>("reviews", headers),
  ]);
  const body = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Bookinfo</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
  section { display: inline-block; vertical-align: top; width: 46%; margin-right: 2%; }
  blockquote { margin: 0 0 1rem; padding-left: 1rem; border-left: 3px solid #ccc; }
  .error { color: #a00; }
</style></head>
<body>
<h1>${book.title}</h1>
<section><h2>Book details</h2>
${"problem" in details ? showProblem(details.problem) : showDetails(details.content)}
</section>
<section><h2>Book reviews</h2>
${"problem" in reviews ? showProblem(reviews.problem) : showReviews(reviews.content)}
</section>
</body>
</html>
`;
  return { status: 200, type: "text/html; charset=utf-8", body };
}

type Part<Content> = { readonly content: Content } | { readonly problem: string };

/** A part that cannot be had is said so on the page: the rest is still worth showing. */
async function fetchPart<Content>(service: string, headers: IncomingHttpHeaders): Promise<Part<Content>> {
  try {
    const { status, body } = await call(service, "0", headers);
    if (status === 200) return { content: JSON.parse(body) as Content };
    return { problem: `${service} answered ${status}: ${body.trim()}` };
  } catch (cause) {
    return { problem: `${service} cannot be reached: ${String(cause)}` };
  }
}

const showProblem = (problem: string): string =>
  `<p class="error">Sorry, this is not available: ${escapeHtml(problem)}</p>`;

function showDetails(details: Details): string {
  const rows = Object.entries(details).map(
    ([fact, value]) => `<li>${escapeHtml(fact)}: ${escapeHtml(String(value))}</li>`,
  );
  return `<ul>\n${rows.join("\n")}\n</ul>`;
}

function showReviews({ servedBy, reviews }: Reviews): string {
  const quotes = reviews.map(({ reviewer, text, rating }) => {
    const stars = rating?.stars === undefined ? escapeHtml(rating?.error ?? "") : showStars(rating.stars, rating.color);
    return `<blockquote>${escapeHtml(text)} <small>${escapeHtml(reviewer)}</small> ${stars}</blockquote>`;
  });
  return `${quotes.join("\n")}\n<p>Reviews served by: <b>${escapeHtml(servedBy)}</b></p>`;
}

function showStars(stars: number, color: string | undefined): string {
  return `<span style="color: ${color === "red" ? "red" : "black"}">${"★".repeat(stars)}${"☆".repeat(5 - stars)}</span>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
