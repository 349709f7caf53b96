/** ratings: stars for a book, by reviewer. */
import { json, readOptions, serve } from "./web-service.ts";

serve(readOptions("ratings"), (path) => {
  const id = /^\/ratings\/(\d+)$/.exec(path)?.[1];
  return id === undefined ? undefined : json(200, { id: Number(id), ratings: { Reviewer1: 5, Reviewer2: 4 } });
});
