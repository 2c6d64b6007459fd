/**
 * Reading QR codes: with the browser's own BarcodeDetector, or where it has none for QR codes (Chromium on Linux) with
 * the same interface of the package `qr`, which is loaded only then.
 */
const BETWEEN_MS = 150;
const LARGEST_SIDE = 2048;

async function detector() {
  const own = globalThis.BarcodeDetector;
  const formats = own ? await own.getSupportedFormats() : [];
  const Detector = formats.includes("qr_code") ? own : (await import("../vendor/qr/decode.js")).BarcodeDetector;
  return new Detector({ formats: ["qr_code"] });
}

/**
 * Show what the camera sees and return the first code in it. Throws where there is no camera, or no leave to use it.
 * @param {HTMLVideoElement} video
 * @param {AbortSignal} signal ends it; the camera is let go in any case
 * @returns {Promise<string | null>}
 */
export async function scan(video, signal) {
  const [reader, stream] = await Promise.all([
    detector(),
    navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }),
  ]);
  try {
    video.srcObject = stream;
    await video.play();
    while (!signal.aborted) {
      const [found] = await reader.detect(video);
      if (found) return found.rawValue;
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS));
    }
    return null;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }
}

/**
 * Return the code in a picture, or null. A large picture is made smaller first.
 * @param {Blob} file
 */
export async function readPicture(file) {
  const whole = await createImageBitmap(file);
  const scale = Math.min(1, LARGEST_SIDE / Math.max(whole.width, whole.height));
  const size = { resizeWidth: Math.round(whole.width * scale), resizeHeight: Math.round(whole.height * scale) };
  const picture = scale < 1 ? await createImageBitmap(whole, size) : whole;
  const [found] = await (await detector()).detect(picture);
  return found?.rawValue ?? null;
}
