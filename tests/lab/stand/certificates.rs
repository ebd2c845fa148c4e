//! Owns: the certificates of stands: a root, an authority in between, and what the latter signed: good, expired, about to
//! expire, for another name, without the one in between; and one that signed itself. Must not: serve them.

use super::names::NAME;
use crate::Result;
use crate::process::run;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes them, once, in a folder of their own; gives that folder. `root.crt` is whom to trust, each `.pem` what a
/// balancer shows: the chain and the key.
pub fn folder(lab: &Path) -> Result<PathBuf> {
    let folder = lab.join("certificates");
    if folder.join("done").exists() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder)?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    // `openssl ca`, as it alone of OpenSSL 3.0 sets both dates.
    let script = format!(
        "exec 2>openssl.log
         printf '[ca]\\ndefault_ca=own\\n[own]\\ndatabase=index.txt\\nnew_certs_dir=.\\nserial=serial\\ndefault_md=sha256\\n' > ca.cnf
         printf 'policy=any\\nunique_subject=no\\ncopy_extensions=copy\\n[any]\\ncommonName=supplied\\n' >> ca.cnf
         : > index.txt; echo 1000 > serial
         openssl req -x509 {key} -days 300 -subj '/CN=lab root' -keyout root.key -out root.crt
         openssl req {key} -subj '/CN=lab between' -keyout between.key -out between.csr \
           -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
         openssl ca -batch -notext -config ca.cnf -cert root.crt -keyfile root.key -days 300 -in between.csr -out between.crt
         leaf() {{
           name=\"$1\" san=\"$2\"; shift 2
           openssl req {key} -subj \"/CN=$san\" -keyout $name.key -out $name.csr \
             -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:$san
           openssl ca -batch -notext -config ca.cnf -cert between.crt -keyfile between.key \"$@\" -in $name.csr -out $name.crt
           cat $name.crt between.crt $name.key > $name.pem
         }}
         leaf good {NAME} -days 200
         leaf expired {NAME} -startdate 20240101000000Z -enddate 20250101000000Z
         leaf five_days {NAME} -days 5
         leaf other_name shop.lab.test -days 200
         cat good.crt good.key > incomplete.pem
         openssl req -x509 {key} -days 200 -subj /CN={NAME} -keyout own.key -out own.crt \
           -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:{NAME}
         cat own.crt own.key > own.pem
         touch done"
    );
    run(Command::new("sh").arg("-ec").arg(script).current_dir(&folder)).map_err(|e| {
        format!(
            "{e}{}",
            std::fs::read_to_string(folder.join("openssl.log")).unwrap_or_default()
        )
    })?;
    Ok(folder)
}
