/** details: facts about a book. */
import { json, readOptions, serve } from "./web-service.ts";

serve(readOptions("details"), (path) => {
  const id = /^\/details\/(\d+)$/.exec(path)?.[1];
  if (id === undefined) return undefined;
  return json(200, {
    id: Number(id),
    author: "William Shakespeare",
    year: 1595,
    type: "paperback",
    pages: 200,
    publisher: "PublisherA",
    language: "English",
    "ISBN-10": "1234567890",
  });
});
