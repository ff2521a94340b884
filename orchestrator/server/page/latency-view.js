// A bar for each answered turn, split by stage, with its numbers.

import { median, spell, split } from './latency.js';

const SHOWN = 8;

export class LatencyView {
  /** `list` gets a row a turn, newest first; `summary` the median; `panel` is shown once there is something. */
  constructor(panel, list, summary) {
    this.panel = panel;
    this.list = list;
    this.summary = summary;
    this.drawn = '';
  }

  show(turns) {
    const rows = turns
      .map((turn, index) => ({ number: index + 1, said: turn.said, measuredMs: turn.measuredMs, parts: split(turn.latency) }))
      .filter(({ parts, measuredMs }) => parts !== null || measuredMs !== null);
    const drawn = JSON.stringify(rows);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.panel.hidden = rows.length === 0;
    const shown = rows.slice(-SHOWN).reverse();
    const longest = Math.max(...shown.map(({ parts, measuredMs }) => Math.max(parts?.totalMs ?? 0, measuredMs ?? 0)));
    this.list.replaceChildren(...shown.map((row) => rowOf(row, longest)));
    this.summary.textContent = summaryOf(rows);
  }
}

function summaryOf(rows) {
  const middle = median(rows.map(({ parts, measuredMs }) => parts?.totalMs ?? measuredMs));
  if (middle === null) return '';
  return rows.length === 1 ? '' : `median of ${rows.length} turns: ${spell(middle)}`;
}

function rowOf({ number, said, parts, measuredMs }, longest) {
  const row = element('li', 'turn');
  const head = element('p', 'head');
  head.append(element('span', 'name', said === '' ? `Turn ${number}` : `“${said}”`), element('strong', 'total', spell(parts?.totalMs ?? measuredMs)));
  row.append(head);
  if (parts && parts.stages.length > 0) row.append(barOf(parts, longest), numbersOf(parts));
  if (measuredMs !== null) {
    row.append(element('p', 'measured', `Your last sound to the first sound heard here: ${spell(measuredMs)}`));
  }
  return row;
}

function barOf({ stages, totalMs }, longest) {
  const bar = element('div', 'bar');
  bar.setAttribute('aria-hidden', 'true'); // the numbers below say the same
  const scale = Math.max(longest, totalMs, 1);
  for (const { id, ms } of stages) {
    const part = element('span', `part stage-${id}`);
    part.style.width = `${(ms / scale) * 100}%`;
    bar.append(part);
  }
  return bar;
}

function numbersOf({ stages }) {
  const list = element('ul', 'numbers');
  for (const { id, name, about, ms } of stages) {
    const item = element('li', `stage-${id}`);
    item.title = about;
    item.append(element('span', 'stage-name', name), element('span', 'ms', spell(ms)));
    list.append(item);
  }
  return list;
}

function element(tag, className, text = '') {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
