// A clip as the service makes it: an MP4 in fragments, which plays while the rest of it comes.

import { words } from "./dom.js";

const TYPE = 'video/mp4; codecs="avc1.42C028"'; // as `serving.footage.clip_maker` writes it
const TICKS_A_SECOND = 90000; // of its times
const HEAD_BYTES = 8; // of a box: its size and its name

/**
 * Shows the clip that `response` brings in `video`.
 *
 * Returns the times of its frames in seconds, which grow as it comes, and two promises: of the first picture, and of the
 * whole clip. Both fail if it breaks off.
 */
export function showStreamed(video, response) {
  const boxes = new Boxes();
  const isStreamable = globalThis.MediaSource?.isTypeSupported(TYPE); // not on every telephone
  const whole = (isStreamable ? stream : collect)(video, read(response, boxes));
  const loaded = new Promise((done, failed) => {
    video.onloadeddata = done;
    video.onerror = () => failed(new Error(words.clip_unplayable));
  });
  loaded.catch(() => {}); // is said by `begun`
  const begun = Promise.race([loaded, whole.then(() => loaded)]);
  for (const each of [whole, begun]) each.catch(() => {}); // they are said where they are awaited
  return { times: boxes.times, begun, whole };
}

/** The chunks of the response. Throws if the last box of the MP4 is missing. */
async function* read(response, boxes) {
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((cause) => {
      throw cause.name === "AbortError" ? cause : new Error(words.clip_broken_off);
    });
    if (done) break;
    boxes.add(value);
    yield value;
  }
  if (!boxes.areWhole) throw new Error(words.clip_broken_off);
}

async function stream(video, chunks) {
  const source = new MediaSource();
  const opened = new Promise((done) => source.addEventListener("sourceopen", done, { once: true }));
  const address = URL.createObjectURL(source);
  video.src = address;
  await opened;
  URL.revokeObjectURL(address);
  const buffer = source.addSourceBuffer(TYPE);
  for await (const chunk of chunks) {
    const appended = new Promise((done) => buffer.addEventListener("updateend", done, { once: true }));
    buffer.appendBuffer(chunk);
    await appended;
    if (!video.currentTime && buffer.buffered.length) goToStart(video, buffer.buffered.start(0));
  }
  source.endOfStream();
}

/** Leaves the time out for which there is no recording yet; nothing would be shown there. */
function goToStart(video, start) {
  if (start > 0) video.currentTime = start;
}

async function collect(video, chunks) {
  const parts = [];
  for await (const chunk of chunks) parts.push(chunk);
  const address = URL.createObjectURL(new Blob(parts, { type: "video/mp4" }));
  video.src = address;
  video.addEventListener("loadeddata", () => {
    video.addEventListener("emptied", () => URL.revokeObjectURL(address), { once: true });
  }, { once: true });
}

/** Boxes of an MP4 that comes in chunks. */
class Boxes {
  times = []; // of frames, in seconds
  areWhole = false;
  #rest = new Uint8Array();

  add(chunk) {
    const bytes = new Uint8Array(this.#rest.length + chunk.length);
    bytes.set(this.#rest);
    bytes.set(chunk, this.#rest.length);
    let end = 0;
    for (const [name, content] of boxesIn(bytes)) {
      end = content.byteOffset + content.byteLength;
      if (name === "moof") this.times.push(...timesIn(content));
      if (name === "mfra") this.areWhole = true;
    }
    this.#rest = bytes.slice(end);
  }
}

/** Name and content of each box that is whole. */
function* boxesIn({ buffer, byteOffset, byteLength }) {
  const view = new DataView(buffer, byteOffset, byteLength);
  for (let at = 0; at + HEAD_BYTES <= byteLength; ) {
    const size = view.getUint32(at);
    if (size < HEAD_BYTES || at + size > byteLength) return;
    const name = String.fromCharCode(...new Uint8Array(buffer, byteOffset + at + 4, 4));
    yield [name, new DataView(buffer, byteOffset + at + HEAD_BYTES, size - HEAD_BYTES)];
    at += size;
  }
}

/** Times of the frames of a fragment: ISO/IEC 14496-12, 8.8.4 to 8.8.12. */
function* timesIn(fragment) {
  const { traf } = Object.fromEntries(boxesIn(fragment));
  const { tfhd, tfdt, trun } = Object.fromEntries(boxesIn(traf));
  const [ofTrack, ofFrames] = [tfhd.getUint32(0), trun.getUint32(0)]; // which fields there are
  const sameDuration = ofTrack & 0x8 ? tfhd.getUint32(8 + (ofTrack & 0x1 ? 8 : 0) + (ofTrack & 0x2 ? 4 : 0)) : 0;
  const frameBytes = 4 * [0x100, 0x200, 0x400, 0x800].filter((field) => ofFrames & field).length;
  const first = 8 + (ofFrames & 0x1 ? 4 : 0) + (ofFrames & 0x4 ? 4 : 0);
  let ticks = tfdt.getUint8(0) ? Number(tfdt.getBigUint64(4)) : tfdt.getUint32(4);
  for (let frame = 0; frame < trun.getUint32(4); frame++) {
    yield ticks / TICKS_A_SECOND;
    ticks += ofFrames & 0x100 ? trun.getUint32(first + frame * frameBytes) : sameDuration;
  }
}
