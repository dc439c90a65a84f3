#include "mail_broker/submission.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "protocols/mail/address.h"
#include "protocols/mail/mail_link.h"

namespace paddock::mail_broker {
namespace {

using mail::Status;
using Refusal = Submission::Refusal;

Refusal data_error(const Error &error) {
  return {Status::kData, error.attempt};
}

}  // namespace

Submission::Progress Submission::take(const Packet &packet) {
  std::optional<Refusal> refusal = Refusal{Status::kUsage, "not what the mail broker understands"};
  if (!begun_) {
    if (const auto message = packet.as<mail::Begin>(); message) refusal = begin(*message);
  } else if (packet.type() == mail::Part::kType) {
    if (const auto message = packet.as<mail::Part>(); message) refusal = take_bytes(message->bytes);
  } else if (const auto message = packet.as<mail::End>(); message) {
    refusal = end();
    if (!refusal) return true;
  }
  if (refusal) return *std::move(refusal);
  return false;
}

std::optional<Refusal> Submission::begin(const mail::Begin &begin) {
  begun_ = true;
  from_headers_ = begin.from_headers;
  if (terms_.any_sender && !begin.sender.empty()) {
    if (!mail::is_plain_address(begin.sender))
      return Refusal{Status::kUsage, "not an address for a sender: " + log::quoted(begin.sender, 80)};
    sender_ = begin.sender;
  }
  for (const auto &recipient : begin.recipients)
    if (!mail::is_plain_address(recipient))
      return Refusal{Status::kUsage, "not an address: " + log::quoted(recipient, 80)};
  return add_recipients(begin.recipients);
}

std::optional<Refusal> Submission::add_recipients(std::vector<std::string> more) {
  const std::size_t most = std::min<std::size_t>(terms_.recipients, mail_link::Deliver::kMostRecipients);
  for (auto &recipient : more) {
    if (std::find(recipients_.begin(), recipients_.end(), recipient) != recipients_.end()) continue;
    if (recipients_.size() == most)
      return Refusal{Status::kRefused, "more than " + std::to_string(most) + " recipients"};
    recipients_.push_back(std::move(recipient));
  }
  return std::nullopt;
}

std::optional<Refusal> Submission::take_bytes(std::string_view bytes) {
  received_ += bytes.size();
  if (received_ > terms_.message_bytes)
    return Refusal{Status::kRefused,
                   "the message is longer than " + std::to_string(terms_.message_bytes) + " bytes"};
  if (bytes.find('\0') != std::string_view::npos) return Refusal{Status::kData, "the message holds a NUL"};
  while (!in_body_ && !bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    line_.append(bytes.substr(0, end));
    if (line_.size() > HeaderBlock::kMost) return Refusal{Status::kData, "the header is longer than 256 KiB"};
    if (end == std::string_view::npos) return std::nullopt;
    bytes.remove_prefix(end + 1);
    if (line_.ends_with('\r')) line_.pop_back();
    if (auto refusal = take_header_line(std::exchange(line_, {}))) return refusal;
  }
  return in_body_ ? write_body(bytes) : std::nullopt;
}

std::optional<Refusal> Submission::take_header_line(std::string_view line) {
  const auto taken = header_.take_line(line);
  if (!taken) return data_error(taken.error());
  if (*taken == HeaderBlock::Taken::kField) return std::nullopt;
  if (auto refusal = end_header()) return refusal;
  if (*taken == HeaderBlock::Taken::kEnd) return std::nullopt;
  if (auto refusal = write_body(line)) return refusal;
  return write_body("\n");
}

std::optional<Refusal> Submission::end_header() {
  in_body_ = true;
  if (from_headers_) {
    auto named = header_.recipients();
    if (!named) return data_error(named.error());
    if (auto refusal = add_recipients(std::move(*named))) return refusal;
  }
  if (recipients_.empty()) return Refusal{Status::kData, "the message has no recipient"};
  return write(header_.rendered(terms_.tenant));
}

std::optional<Refusal> Submission::end() {
  if (!in_body_ && !line_.empty())
    if (auto refusal = take_header_line(std::exchange(line_, {}))) return refusal;
  if (!in_body_)
    if (auto refusal = end_header()) return refusal;
  if (std::exchange(carriage_return_, false))
    if (auto refusal = write("\n")) return refusal;
  if (::lseek(file_.get(), 0, SEEK_SET) != 0)
    return Refusal{Status::kRefused, "the mail broker's file is broken"};
  return std::nullopt;
}

// Lines end with "\n" for a sendmail, whatever they ended with: a lone "\r" that one MTA takes for the end of
// a line and the next does not can hide a second message (SMTP smuggling).
std::optional<Refusal> Submission::write_body(std::string_view bytes) {
  std::string plain;
  plain.reserve(bytes.size() + 1);
  for (const char c : bytes) {
    if (std::exchange(carriage_return_, c == '\r')) {
      plain += '\n';
      if (c == '\n') continue;
    }
    if (c != '\r') plain += c;
  }
  return write(plain);
}

std::optional<Refusal> Submission::write(std::string_view bytes) {
  if (const auto written = write_all(file_, bytes); !written) {
    log::error("cannot write a message of " + terms_.tenant + ": " + written.error().message());
    return Refusal{Status::kRefused, "the mail broker has no room"};
  }
  return std::nullopt;
}

}  // namespace paddock::mail_broker
