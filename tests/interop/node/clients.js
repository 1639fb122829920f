// Postmark's clients from npm as programs use them; prints what became of each case, as JSON.
'use strict';

const postmark = require('postmark');
const nodemailer = require('nodemailer');
const transport = require('nodemailer-postmark-transport');

const given = JSON.parse(process.argv[2]);
const plain = { From: given.from, To: given.to, Subject: 'hello', TextBody: 'text' };
const many = Array.from({ length: 51 }, (_, number) => `r${number}@example.com`).join(',');

function options(host, useHttps) {
  return { requestHost: host, useHttps, timeout: 20 };
}

async function outcome(work) {
  try {
    return { answer: await work() };
  } catch (error) {
    return { error: error.name, code: error.code, status: error.statusCode, text: error.message, recipients: error.recipients };
  }
}

async function official() {
  const client = new postmark.ServerClient(given.token, options(given.host, false));
  const secure = new postmark.ServerClient(given.token, options(given.secureHost, true));
  const wrong = new postmark.ServerClient(given.wrong, options(given.host, false));
  const full = new postmark.Models.Message(given.from, 'Grüße', '<img src="cid:p">', 'text', given.to);
  Object.assign(full, {
    Cc: `Carol Ü <${given.from}>`, ReplyTo: given.from, Tag: 'welcome', TrackOpens: true, TrackLinks: 'HtmlOnly',
    Metadata: { order: '17' }, Headers: [new postmark.Models.Header('X-Order', '17')], MessageStream: 'outbound',
    Attachments: [new postmark.Models.Attachment('p.gif', given.pixel, 'image/gif', 'cid:p')],
  });
  return {
    full: await outcome(() => client.sendEmail(full)),
    https: await outcome(() => secure.sendEmail(plain)),
    batch: await outcome(() => client.sendEmailBatch([plain, { ...plain, To: given.gone }, { ...plain, From: '' }])),
    'batch of 500': await outcome(async () => (await client.sendEmailBatch(Array(500).fill(plain))).length),
    'wrong token': await outcome(() => wrong.sendEmail(plain)),
    inactive: await outcome(() => client.sendEmail({ ...plain, To: given.gone })),
    'some inactive': await outcome(() => client.sendEmail({ ...plain, Cc: given.gone })),
    'foreign from': await outcome(() => client.sendEmail({ ...plain, From: 'eve@elsewhere.example' })),
    many: await outcome(() => client.sendEmail({ ...plain, To: many })),
    'no body': await outcome(() => client.sendEmail({ ...plain, TextBody: '' })),
    missing: await outcome(() => client.getBounces()),
    server: await outcome(() => client.getServer()),
    suppress: await outcome(() => client.createSuppressions('outbound', { Suppressions: [{ EmailAddress: 'js@example.com' }] })),
    dump: await outcome(() => client.getSuppressions('outbound', { emailAddress: 'js@example.com' })),
  };
}

async function mailer() {
  const postmarkOptions = options(given.host, false);
  const sender = nodemailer.createTransport(transport({ auth: { apiKey: given.token }, postmarkOptions }));
  const wrong = nodemailer.createTransport(transport({ auth: { apiKey: given.wrong }, postmarkOptions }));
  const mail = { from: `Älice <${given.from}>`, to: [given.to, `Carol <${given.from}>`], subject: 'Grüße', text: 'text',
    html: '<img src="cid:p">', headers: { 'X-Order': '17' }, tag: 'welcome', metadata: { order: '17' },
    attachments: [{ filename: 'p.gif', content: Buffer.from(given.pixel, 'base64'), cid: 'p' }] };
  const short = { from: given.from, to: given.to, subject: 'hello', text: 'text' };
  return {
    full: await outcome(() => sender.sendMail(mail)),
    batch: await outcome(() => sender.transporter.sendBatch([short, { ...short, to: given.gone }])),
    'wrong token': await outcome(() => wrong.sendMail(short)),
    inactive: await outcome(() => sender.sendMail({ ...short, to: given.gone })),
    many: await outcome(() => sender.sendMail({ ...short, to: many })),
  };
}

(async () => console.log(JSON.stringify({ postmark: await official(), nodemailer: await mailer() })))();
