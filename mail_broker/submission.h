// One message on its way in: what the sandbox sends, judged and written to a file for the MTA.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/message_socket.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "mail_broker/header_block.h"
#include "protocols/mail/submission.h"

namespace paddock::mail_broker {

// What holds for a tenant's messages.
struct Terms {
  std::string tenant;
  std::uint64_t message_bytes = 0;
  std::uint32_t recipients = 0;
  bool any_sender = true;
};

class Submission {
 public:
  // `file` is empty and writable.
  Submission(Terms terms, UniqueFd file) : terms_(std::move(terms)), file_(std::move(file)) {}

  // Why a message is refused.
  struct Refusal {
    mail::Status status = mail::Status::kRefused;
    std::string text;
  };
  // The next packet. True: that was the last, and the message is whole.
  using Progress = std::variant<bool, Refusal>;
  [[nodiscard]] Progress take(const Packet &packet);

  // Of a whole message.
  [[nodiscard]] const std::string &sender() const { return sender_; }
  [[nodiscard]] const std::vector<std::string> &recipients() const { return recipients_; }
  [[nodiscard]] BorrowedFd file() const { return file_; }  // at its beginning

  [[nodiscard]] std::uint64_t received() const { return received_; }

 private:
  std::optional<Refusal> begin(const mail::Begin &begin);
  std::optional<Refusal> take_bytes(std::string_view bytes);
  std::optional<Refusal> take_header_line(std::string_view line);
  std::optional<Refusal> end_header();
  std::optional<Refusal> end();
  std::optional<Refusal> add_recipients(std::vector<std::string> more);
  std::optional<Refusal> write_body(std::string_view bytes);
  std::optional<Refusal> write(std::string_view bytes);

  Terms terms_;
  UniqueFd file_;
  HeaderBlock header_;
  std::string line_;  // of the header, not yet whole
  std::string sender_;
  std::vector<std::string> recipients_;
  std::uint64_t received_ = 0;
  bool begun_ = false;
  bool from_headers_ = false;
  bool in_body_ = false;
  bool carriage_return_ = false;  // the body's last byte so far, held back
};

}  // namespace paddock::mail_broker
