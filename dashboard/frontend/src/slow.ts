// The slow log's traces in a tenant's log. What the lines say is the tenant's word, and text to us.

export interface SlowTrace {
  time: string;
  request: string;
  frames: string[];
}

// As php_worker/vm_interrupt.cc writes them: a line that tells the request, then one a frame, all of one worker.
const LINE = /^\[(\S+)\] worker (\d+): slow: (.*)$/;

export function slowTraces(log: string, most: number): SlowTrace[] {
  const traces: SlowTrace[] = [];
  const open = new Map<string, SlowTrace>();
  for (const line of log.split('\n')) {
    const [, time, worker, text] = LINE.exec(line) ?? [];
    if (time === undefined || worker === undefined || text === undefined) continue;
    const trace = open.get(worker);
    if (/^(#\d+ |…)/.test(text)) {
      if (trace && trace.frames.length < 40) trace.frames.push(text);
      continue;
    }
    const fresh = { time, request: text, frames: [] };
    open.set(worker, fresh);
    traces.push(fresh);
  }
  return traces.slice(-most).reverse();
}
