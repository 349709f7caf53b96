import { expect, test, vi } from "vitest";
import { type BodySink, type BodySource, collect } from "../http/body.ts";
import { RequestBody } from "./request-body.ts";

interface ManualSource extends BodySource {
  sink: BodySink | undefined;
  isCancelled: boolean;
}

function createSource(): ManualSource {
  const source: ManualSource = {
    sink: undefined,
    isCancelled: false,
    pipe(sink) {
      source.sink = sink;
    },
    resume: () => undefined,
    cancel() {
      source.isCancelled = true;
    },
  };
  return source;
}

const text = async (body: BodySource): Promise<string> => Buffer.from((await collect(body, 1000)).bytes).toString();

test("an attempt after the first begins with what was read", async () => {
  const source = createSource();
  const onComplete = vi.fn();
  const body = new RequestBody(source, { limit: 10, onComplete, onAbandoned: () => undefined });
  const first = body.open();
  first.pipe({ write: () => true, end: () => undefined, abort: () => undefined });
  source.sink?.write(Buffer.from("ab"));
  first.cancel();
  expect(source.isCancelled).toBe(false);
  source.sink?.write(Buffer.from("cd"));
  const second = text(body.open());
  source.sink?.write(Buffer.from("ef"));
  source.sink?.end();
  expect(await second).toBe("abcdef");
  expect(await text(body.open())).toBe("abcdef");
  expect(onComplete).toHaveBeenCalledOnce();
  expect(Buffer.from(body.whole?.bytes ?? []).toString()).toBe("abcdef");
});

test("what is too long is not kept, and goes on to the attempt under way", async () => {
  const source = createSource();
  const onAbandoned = vi.fn();
  const body = new RequestBody(source, { limit: 3, onComplete: () => undefined, onAbandoned });
  const only = text(body.open());
  source.sink?.write(Buffer.from("abc"));
  expect(body.isKept).toBe(true);
  source.sink?.write(Buffer.from("d"));
  expect(body.isKept).toBe(false);
  expect(onAbandoned).toHaveBeenCalledOnce();
  source.sink?.end();
  expect(await only).toBe("abcd");
  expect(body.whole).toBeUndefined();
});

test("a body that is not kept is given up with its only attempt", () => {
  const source = createSource();
  const body = new RequestBody(source, { limit: undefined, onComplete: () => undefined, onAbandoned: () => undefined });
  const only = body.open();
  only.pipe({ write: () => true, end: () => undefined, abort: () => undefined });
  only.cancel();
  expect(source.isCancelled).toBe(true);
});

test("a body that breaks off breaks off for attempts of now and later", () => {
  const source = createSource();
  const body = new RequestBody(source, { limit: 10, onComplete: () => undefined, onAbandoned: () => undefined });
  const abort = vi.fn();
  body.open().pipe({ write: () => true, end: () => undefined, abort });
  source.sink?.abort(new Error("gone"));
  body.open().pipe({ write: () => true, end: () => undefined, abort });
  expect(abort).toHaveBeenCalledTimes(2);
});

test("back-pressure of the slowest attempt is passed on", () => {
  const source = createSource();
  const body = new RequestBody(source, { limit: 10, onComplete: () => undefined, onAbandoned: () => undefined });
  body.open().pipe({ write: () => true, end: () => undefined, abort: () => undefined });
  expect(source.sink?.write(Buffer.from("a"))).toBe(true);
  body.open().pipe({ write: () => false, end: () => undefined, abort: () => undefined });
  expect(source.sink?.write(Buffer.from("b"))).toBe(false);
});

test.each([
  { name: "alone and not kept", limit: undefined, readers: 1, isOwned: true },
  { name: "kept for another attempt", limit: 100, readers: 1, isOwned: false },
  { name: "read by two", limit: undefined, readers: 2, isOwned: false },
])("bytes belong to their reader alone where they are $name: $isOwned", ({ limit, readers, isOwned }) => {
  const source = createSource();
  const body = new RequestBody(source, { limit, onComplete: () => undefined, onAbandoned: () => undefined });
  const write = vi.fn(() => true);
  for (let index = 0; index < readers; index++) {
    body.open().pipe({ write, end: () => undefined, abort: () => undefined });
  }
  const bytes = Buffer.from("ab");
  source.sink?.write(bytes, true);
  expect(write).toHaveBeenLastCalledWith(bytes, isOwned);
});
